// Each entry is what index.d.ts says.

import type * as api from "../../pkg/index.js";
import * as node from "../../pkg/index.node.js";
import * as web from "../../pkg/index.web.js";
import type * as workerd from "../../pkg/index.workerd.js";
import type * as sessionApi from "../../pkg/session.js";
import * as sessionNode from "../../pkg/session.node.js";
import * as sessionWeb from "../../pkg/session.web.js";
import type * as sessionWorkerd from "../../pkg/session.workerd.js";

type Api = typeof api;

/** Names are the same on both sides. */
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false;
const holds = <_T extends true>() => {};
holds<Same<keyof typeof node, keyof Api>>();
holds<Same<keyof typeof web, keyof Api>>();
holds<Same<keyof typeof workerd, keyof Api>>();
type SessionApi = typeof sessionApi;
holds<Same<keyof typeof sessionNode, keyof SessionApi>>();
holds<Same<keyof typeof sessionWeb, keyof SessionApi>>();
holds<Same<keyof typeof sessionWorkerd, keyof SessionApi>>();

// Functions take and give what is declared. (`EpitomeError` is declared with its name, which JavaScript sets later.)
const functions: Omit<Api, "EpitomeError" | "init"> = node;
const init: Api["init"] = web.init;
const sessionFunctions: Omit<SessionApi, "EpitomeError" | "init" | "Session"> = sessionNode;
const sessionInit: SessionApi["init"] = sessionWeb.init;
void sessionFunctions;
void sessionInit;
void functions;
void init;

// Sessions have the members that are declared. (The constructor is declared private.)
type Declared = keyof sessionApi.Session;
type There = keyof InstanceType<typeof sessionNode.Session>;
holds<Same<Exclude<Declared, symbol>, There>>();
holds<Same<keyof SessionApi["Session"], keyof (typeof sessionNode)["Session"]>>();
