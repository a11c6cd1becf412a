// Where browsers and everything else that loads a module over the network get it from.

import { describe, EpitomeError, invalidOption } from "./errors.js";

/** @import { InitInput } from "./index.d.ts" */
/** @import { Instance } from "./instance.js" */

/**
 * Makes the `init` of an entry: loads its WebAssembly module once, however often and however concurrently it is called.
 * After a failure the next call tries again.
 *
 * @param {Instance} instance
 * @param {() => URL} address where the module is unless the caller says otherwise
 * @param {() => void} done called once the module is there
 */
export function initOf(instance, address, done) {
  /** @type {Promise<void> | undefined} */
  let pending;
  /** @param {InitInput | Promise<InitInput>} [input] */
  const load = async (input) => {
    await instance.adopt(await compiled((await input) ?? address()));
    done();
  };
  /** @param {InitInput | Promise<InitInput>} [input] */
  return async (input) => {
    if (instance.isReady) return;
    pending ??= load(input).finally(() => {
      pending = undefined;
    });
    await pending;
  };
}

/** @param {InitInput} input */
async function compiled(input) {
  if (input instanceof WebAssembly.Module) return input;
  if (input instanceof ArrayBuffer || ArrayBuffer.isView(input)) return WebAssembly.compile(/** @type {any} */ (input));
  if (input instanceof Response) return compiledResponse(input);
  if (typeof input === "string" || input instanceof URL || input instanceof Request) return fetched(input);
  throw invalidOption("input", `must be an address, a response, bytes or a module, but is ${describe(input)}`);
}

/** @param {string | URL | Request} address */
async function fetched(address) {
  let response;
  try {
    response = await fetch(address);
  } catch (cause) {
    throw unreachable(address, "the request failed (see `cause`)", { cause });
  }
  return compiledResponse(response);
}

/** @param {Response} response */
async function compiledResponse(response) {
  if (!response.ok) throw unreachable(response.url, `the server answered ${response.status}`);
  const isWasm = /^application\/wasm(?:;|$)/i.test(response.headers.get("content-type") ?? "");
  try {
    // A server that calls the file something else costs streaming, nothing more.
    return await (isWasm ? WebAssembly.compileStreaming(response) : WebAssembly.compile(await response.arrayBuffer()));
  } catch (cause) {
    throw unreachable(response.url, "what the server sent is not the module (see `cause`)", { cause });
  }
}

/**
 * @param {string | URL | Request} address
 * @param {string} reason
 * @param {{ cause: unknown }} [cause]
 */
function unreachable(address, reason, cause) {
  const from = address instanceof Request ? address.url : String(address);
  return new EpitomeError(
    "not_initialised",
    `Epitome could not load its module from ${from || "the response"}: ${reason}; ` +
      "pass `init` the address of the `.wasm` file",
    cause,
  );
}
