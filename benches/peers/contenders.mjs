// The packages compared, each called as its documentation says. Conversions to and from each package's own message
// shape are separate functions, so that they stay outside the clock.

import { AIMessage, HumanMessage, SystemMessage, ToolMessage, trimMessages } from "@langchain/core/messages";
import { TokenLimiterProcessor } from "@mastra/core/processors";
import { pruneMessages } from "ai";
import { estimateTokenCount } from "tokenx";
import { fit } from "../../pkg/index.node.js";

/**
 * @typedef {object} Contender
 * @property {string} name
 * @property {string} counter what it counts with
 * @property {boolean} [noBudget] whether it ignores the budget
 * @property {number} growth how its time grows with ten times the messages, to predict what is not worth waiting for
 * @property {(shapes: any, budget: number) => unknown} run the timed part; may return a promise
 * @property {(result: any, shapes: any) => any[]} back to OpenAI chat messages
 */

/** The same conversation in the shape of each package. */
export function shapes(messages) {
  const prompt = aiMessages(messages, (text) => [{ type: "text", text }]);
  const model = aiMessages(messages, (text) => text);
  return {
    openai: messages,
    langchain: messages.map(langchainMessage),
    /** Mastra hands the provider's prompt to its processors: user content is always a list of parts. */
    mastra: prompt,
    mastraIndex: new Map(prompt.map((message, index) => [message, index])),
    ai: model,
  };
}

function langchainMessage(message, index) {
  // `trimMessages` copies every message; the id says which one it was.
  const id = String(index);
  const content = message.content ?? "";
  switch (message.role) {
    case "system":
      return new SystemMessage({ id, content });
    case "user":
      return new HumanMessage({ id, content });
    case "tool":
      return new ToolMessage({ id, content, tool_call_id: message.tool_call_id });
    default:
      return new AIMessage({
        id,
        content,
        tool_calls: (message.tool_calls ?? []).map((call) => ({
          type: "tool_call",
          id: call.id,
          name: call.function.name,
          args: JSON.parse(call.function.arguments),
        })),
      });
  }
}

function aiMessages(messages, userContent) {
  const names = new Map();
  return messages.map((message) => {
    const { role, content } = message;
    if (role === "system") return { role, content };
    if (role === "user") return { role, content: userContent(content) };
    if (role === "tool") {
      const toolCallId = message.tool_call_id;
      const output = { type: "text", value: content };
      return { role, content: [{ type: "tool-result", toolCallId, toolName: names.get(toolCallId), output }] };
    }
    const parts = content === null ? [] : [{ type: "text", text: content }];
    for (const call of message.tool_calls ?? []) {
      names.set(call.id, call.function.name);
      const input = JSON.parse(call.function.arguments);
      parts.push({ type: "tool-call", toolCallId: call.id, toolName: call.function.name, input });
    }
    return { role, content: parts };
  });
}

function fromAi(messages) {
  return messages.flatMap(({ role, content }) => {
    if (typeof content === "string") return [{ role, content }];
    if (role === "tool") {
      return content.map((part) => ({ role, tool_call_id: part.toolCallId, content: part.output.value }));
    }
    const text = content.filter((part) => part.type === "text").map((part) => part.text);
    const calls = content.filter((part) => part.type === "tool-call");
    const message = { role, content: text.length === 0 ? null : text.join("") };
    if (calls.length > 0) {
      message.tool_calls = calls.map((part) => ({
        id: part.toolCallId,
        type: "function",
        function: { name: part.toolName, arguments: JSON.stringify(part.input) },
      }));
    }
    return [message];
  });
}

// ------------------------------------------------------------------------------------------------------- LangChain.js

function langchainTokens(message) {
  let sum = 4 + estimateTokenCount(message.content);
  for (const call of message.tool_calls ?? []) {
    sum += 4 + estimateTokenCount(call.name) + estimateTokenCount(JSON.stringify(call.args));
  }
  return sum;
}

/** The counter a list wants: `trimMessages` asks for the size of the whole list again and again. */
function plainCounter(messages) {
  let sum = 0;
  for (const message of messages) sum += langchainTokens(message);
  return sum;
}

/** The same, counting each message once per call: the best that a user of `trimMessages` can do. */
function rememberingCounter() {
  const counts = new WeakMap();
  return (messages) => {
    let sum = 0;
    for (const message of messages) {
      let count = counts.get(message);
      if (count === undefined) {
        count = langchainTokens(message);
        counts.set(message, count);
      }
      sum += count;
    }
    return sum;
  };
}

function langchain(name, counter, tokenCounter, more) {
  return {
    name,
    counter,
    growth: 100,
    run: ({ langchain }, maxTokens) =>
      trimMessages(langchain, {
        maxTokens,
        tokenCounter: tokenCounter(),
        strategy: "last",
        includeSystem: true,
        ...more,
      }),
    back: (result, { openai }) => result.map((message) => openai[Number(message?.id)]),
  };
}

function mastra(trimMode) {
  return {
    name: `Mastra TokenLimiter, ${trimMode}`,
    counter: "tokenx (built in)",
    growth: 10,
    run: ({ mastra: prompt }, limit) =>
      new TokenLimiterProcessor({ limit, trimMode })
        .processLLMRequest({ prompt, state: {}, abort() {} })
        .then((answer) => answer?.prompt ?? prompt),
    back: (result, { openai, mastraIndex }) => result.map((message) => openai[mastraIndex.get(message)]),
  };
}

/** @type {Contender[]} */
export const contenders = [
  {
    name: "epitome `fit`",
    counter: "built in",
    growth: 10,
    run: ({ openai }, budget) => fit(openai, { budget }),
    back: (result) => result.messages,
  },
  {
    name: "epitome `fit`, host counter",
    counter: "tokenx",
    growth: 10,
    run: ({ openai }, budget) => fit(openai, { budget, tokens: estimateTokenCount }),
    back: (result) => result.messages,
  },
  langchain("LangChain `trimMessages`", "tokenx, remembered", rememberingCounter, {}),
  langchain('LangChain, `startOn: "human"`', "tokenx, remembered", rememberingCounter, { startOn: "human" }),
  langchain("LangChain, plain counter", "tokenx", () => plainCounter, {}),
  mastra("best-fit"),
  mastra("contiguous"),
  {
    name: "AI SDK `pruneMessages`",
    counter: "none",
    noBudget: true,
    growth: 10,
    run: ({ ai: messages }) =>
      pruneMessages({ messages, reasoning: "all", toolCalls: "before-last-6-messages", emptyMessages: "remove" }),
    back: fromAi,
  },
];
