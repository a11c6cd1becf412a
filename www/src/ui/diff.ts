/** A stretch of text: in both, only in the original (cut), or only in what the model gets (new). */
export interface Stretch {
  readonly kind: "same" | "cut" | "new";
  readonly text: string;
}

/** Shorter agreements are chance, e.g. two texts that both begin with "[". */
const SHORTEST_AGREEMENT = 12;

/**
 * What a prune or shrink did: both replace one stretch in the middle, so a common head and tail is all there is to
 * find, in linear time also for megabytes.
 */
export function compare(original: string, fitted: string): { left: Stretch[]; right: Stretch[] } {
  if (original === fitted) return { left: stretches(["same", original]), right: stretches(["same", fitted]) };
  const most = Math.min(original.length, fitted.length);
  let head = 0;
  while (head < most && original[head] === fitted[head]) head++;
  let tail = 0;
  while (tail < most - head && original.at(-1 - tail) === fitted.at(-1 - tail)) tail++;
  // Never between the halves of a surrogate pair.
  if (isHighSurrogate(original, head - 1)) head--;
  if (isHighSurrogate(original, original.length - tail - 1)) tail--;
  if (head < SHORTEST_AGREEMENT) head = 0;
  if (tail < SHORTEST_AGREEMENT) tail = 0;
  const split = (text: string, kind: "cut" | "new") =>
    stretches(
      ["same", text.slice(0, head)],
      [kind, text.slice(head, text.length - tail)],
      ["same", text.slice(text.length - tail)],
    );
  return { left: split(original, "cut"), right: split(fitted, "new") };
}

function stretches(...parts: readonly (readonly [Stretch["kind"], string])[]): Stretch[] {
  return parts.filter(([, text]) => text !== "").map(([kind, text]) => ({ kind, text }));
}

function isHighSurrogate(text: string, at: number): boolean {
  const unit = text.charCodeAt(at);
  return unit >= 0xd800 && unit <= 0xdbff;
}
