// A store of the host that counts: who is asked what, how much is read and written.

/**
 * @param {any} store that does the work
 * @param {{ pause?: () => Promise<unknown> }} [options] what each call waits for first
 */
export function countingStore(store, { pause = async () => {} } = {}) {
  const calls = { load: 0, list: 0, commit: 0, delete: 0 };
  const counts = { ...calls, read: 0, readBytes: 0, written: 0, writtenBytes: 0, deleted: 0 };
  const counted = async (name, work) => {
    counts[name] += 1;
    await pause();
    return work();
  };
  return {
    counts,
    store: {
      load: (conversation, ranges, options) =>
        counted("load", async () => {
          const loaded = await store.load(conversation, ranges, options);
          counts.read += loaded.records.length;
          for (const { text } of loaded.records) counts.readBytes += text.length;
          return loaded;
        }),
      list: (page, options) => counted("list", () => store.list(page, options)),
      commit: (batch, options) =>
        counted("commit", async () => {
          const done = await store.commit(batch, options);
          if (done.revision === undefined) return done;
          counts.written += batch.puts.length;
          counts.deleted += batch.deletes.length;
          for (const { text } of batch.puts) counts.writtenBytes += text.length;
          return done;
        }),
      delete: (conversation, options) => counted("delete", () => store.delete(conversation, options)),
      close: () => store.close(),
    },
  };
}
