// What only summaries by models need: a module of its own, which nobody loads who asks none.
import type { CompactOptions, FitResult } from "epitome";
import { openai } from "epitome/providers/openai";
import { compact } from "epitome/session";
import type { ModelSettings } from "./protocol.ts";

export { init } from "epitome/session";

/** Compacts with summaries by a model at an address. */
export async function ask(
  messages: readonly object[],
  options: CompactOptions,
  { address, model, key, stream }: ModelSettings,
): Promise<FitResult<object>> {
  // A new one each time: who asks again after failures does not want to be told to wait.
  const provider = openai({ baseUrl: address, model, apiKey: key === "" ? undefined : key, stream, name: model });
  try {
    return await compact(messages, { ...options, provider });
  } finally {
    provider.dispose();
  }
}
