// The packed tarball and fresh projects that install it, outside the repository.

import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const repository = fileURLToPath(new URL("../../", import.meta.url));
const fixtures = fileURLToPath(new URL("./fixtures/", import.meta.url));
const workspace = realpathSync(mkdtempSync(join(tmpdir(), "epitome-packaging-")));
process.on("exit", () => rmSync(workspace, { recursive: true, force: true }));

/**
 * Runs a program; throws with everything it printed when it fails.
 *
 * @param {string} program
 * @param {readonly string[]} args
 * @param {string} cwd
 * @returns {string} standard output
 */
export function run(program, args, cwd) {
  try {
    return execFileSync(program, args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], maxBuffer: 1e8 });
  } catch (error) {
    const { status, stdout, stderr } = /** @type {any} */ (error);
    throw new Error(`${program} ${args.join(" ")} failed (${status})\n${stdout}${stderr}`);
  }
}

/** @param {readonly string[]} args */
export const node = (args, cwd = repository) => run(process.execPath, args, cwd);

const npm = process.platform === "win32" ? "npm.cmd" : "npm";

/** Packs `pkg/`. Returns the tarball's path and the files in it. */
export function pack() {
  const [packed] = JSON.parse(run(npm, ["pack", "--json", "--pack-destination", workspace], join(repository, "pkg")));
  return {
    tarball: join(workspace, packed.filename),
    files: /** @type {{ path: string }[]} */ (packed.files).map((file) => file.path),
  };
}

/**
 * A new project made from a fixture, with the tarball installed. Offline: the package needs nothing else.
 *
 * @param {string} fixture
 * @param {string} tarball
 */
export function project(fixture, tarball) {
  const folder = join(workspace, fixture);
  cpSync(join(fixtures, fixture), folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), JSON.stringify({ name: fixture, private: true, type: "module" }));
  run(npm, ["install", "--offline", "--no-audit", "--no-fund", tarball], folder);
  return folder;
}
