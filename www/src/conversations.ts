import chineseDialogue from "../../tests/data/chinese-dialogue.json?url";
import codingAgent from "../../tests/data/coding-agent.json?url";
import customerService from "../../tests/data/customer-service.json?url";
import apache from "../../tests/data/LICENSE-Apache-2.0.txt?url";
import creativeCommons from "../../tests/data/LICENSE-CC-BY-4.0.txt?url";
import mit from "../../tests/data/LICENSE-MIT-tau-bench.txt?url";
import mcpAgent from "../../tests/data/mcp-agent.json?url";

/** A real conversation that comes with the page; tests/data/README.md has the particulars. */
export interface Bundled {
  readonly name: string;
  readonly about: string;
  readonly url: string;
  readonly source: string;
  readonly sourceUrl: string;
  readonly licence: string;
  readonly licenceUrl: string;
  /** Where the slider starts: what shows every kind of edit that this conversation has. */
  readonly share: number;
}

export const CONVERSATIONS: readonly [Bundled, ...Bundled[]] = [
  {
    name: "Coding agent",
    about: "A developer and a coding agent resolve a merge conflict (excerpt)",
    url: codingAgent,
    source: "specstoryai/getspecstory",
    sourceUrl: "https://github.com/specstoryai/getspecstory",
    licence: "Apache-2.0",
    licenceUrl: apache,
    share: 0.1,
  },
  {
    name: "Customer service",
    about: "An airline agent with tools downgrades a passenger’s bookings",
    url: customerService,
    source: "sierra-research/tau-bench, © 2024 Sierra",
    sourceUrl: "https://github.com/sierra-research/tau-bench",
    licence: "MIT",
    licenceUrl: mit,
    share: 0.3,
  },
  {
    name: "MCP agent",
    about: "An agent builds an academic warning system over MCP tools",
    url: mcpAgent,
    source: "hkust-nlp/Toolathlon-Trajectories",
    sourceUrl: "https://huggingface.co/datasets/hkust-nlp/Toolathlon-Trajectories",
    licence: "CC BY 4.0",
    licenceUrl: creativeCommons,
    share: 0.3,
  },
  {
    name: "Chinese dialogue",
    about: "Travel planning in Chinese, 16 dialogues one after another",
    url: chineseDialogue,
    source: "thu-coai/CrossWOZ",
    sourceUrl: "https://github.com/thu-coai/CrossWOZ",
    licence: "Apache-2.0",
    licenceUrl: apache,
    share: 0.3,
  },
];
