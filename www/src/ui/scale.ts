/** The common scale of the bars. */
export interface Scale {
  /** Tokens at full width. */
  readonly full: number;
  /** Whether some messages are longer than that. */
  readonly cut: boolean;
}

/**
 * Full width is the longest message, unless a few are so long that all others would be slivers: then it is a round
 * number above the 90th percentile, and longer bars are drawn torn.
 */
export function chooseScale(tokens: readonly number[]): Scale {
  const sorted = [...tokens].sort((a, b) => a - b);
  const longest = sorted.at(-1) ?? 1;
  const usual = sorted[Math.floor((sorted.length - 1) * 0.9)] ?? longest;
  if (longest <= usual * 2.5) return { full: Math.max(longest, 1), cut: false };
  return { full: roundUp(usual * 1.25), cut: true };
}

function roundUp(value: number): number {
  const unit = 10 ** Math.floor(Math.log10(Math.max(value, 10))) / 2;
  return Math.ceil(value / unit) * unit;
}
