// What keeps Chromium from deleting everything that it has kept.
//
// It writes all databases of an origin to one log. Started again after it was killed, it goes on in the same file, even
// behind half of the record that was being written; the next time it is started it finds that file damaged, and deletes
// every database of the origin (https://github.com/google/leveldb/issues/1287). Whoever deletes a database, whichever it
// is, has it put what the log says where it belongs and begin a new file: then nobody will read the half record again.

let hasBegun = false;

/** Has Chromium begin a new log, once for each page or worker. Nobody waits for that, and if it fails nothing is lost. */
export function beginNewLog() {
  if (hasBegun || !isChromium()) return;
  hasBegun = true;
  try {
    const name = "epitome-begins-new-log";
    const opening = indexedDB.open(name);
    opening.onerror = ignored;
    opening.onsuccess = () => {
      const database = opening.result;
      // Another page may be deleting it, too.
      database.onversionchange = () => database.close();
      database.close();
      indexedDB.deleteDatabase(name).onerror = ignored;
    };
  } catch {
    // Where there are no databases, the store says so.
  }
}

/** No other browser tells of lost data in this way. */
function isChromium() {
  const { IDBVersionChangeEvent } = globalThis;
  return IDBVersionChangeEvent !== undefined && "dataLoss" in IDBVersionChangeEvent.prototype;
}

/** @param {Event} event */
function ignored(event) {
  event.preventDefault();
}
