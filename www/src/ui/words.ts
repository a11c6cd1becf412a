import type { Tier } from "epitome";
import type { Inserted, State } from "../engine/protocol.ts";

const whole = new Intl.NumberFormat("en-GB");
export const count = (value: number) => whole.format(Math.round(value));
export const plural = (value: number, one: string, many = `${one}s`) => `${count(value)} ${value === 1 ? one : many}`;

export function percent(share: number): string {
  const value = share * 100;
  // 100 % is said only when it is all.
  return `${value > 99 && value < 100 ? "99" : value > 0 && value < 1 ? "<1" : Math.round(value)} %`;
}

/** How a row may look: the states of messages, and what was inserted. */
export type Look = State | "summary";
export const LOOKS: readonly Look[] = ["kept", "pruned", "shrunk", "hidden", "summary", "repaired"];

export const LOOK_NAMES: Readonly<Record<Look, string>> = {
  kept: "Kept",
  pruned: "Pruned",
  shrunk: "Shrunk",
  hidden: "Hidden",
  summary: "Summary",
  repaired: "Repaired",
};

export const lookOf = (inserted: Inserted): Look => (inserted.kind === "summary" ? "summary" : "repaired");

export const TIERS: Readonly<Record<Tier, string>> = {
  none: "fits as it is",
  soft: "only tool results pruned",
  hard: "messages hidden or shrunk",
};

export const seconds = (milliseconds: number) =>
  milliseconds < 100 ? "<0.1 s" : `${(milliseconds / 1000).toFixed(1)} s`;

/** Whether it says that something is not the work of the model that was asked for it. */
export const isAboutModel = ({ code }: { readonly code: string }) =>
  code.startsWith("provider_") || code === "summary_refused";

export function bytes(value: number): string {
  if (value < 1000) return plural(value, "byte");
  return value < 1_000_000 ? `${(value / 1000).toFixed(1)} kB` : `${(value / 1_000_000).toFixed(1)} MB`;
}
