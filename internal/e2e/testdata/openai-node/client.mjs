// Talks to the gateway at OPENAI_BASE_URL, as a program for OpenAI would, asking for the model that is named in the command.
import assert from "node:assert/strict";
import net from "node:net";
import OpenAI from "openai";
import { OpenAIRealtimeWebSocket } from "openai/realtime/websocket";
import { OpenAIRealtimeWS } from "openai/realtime/ws";
import WebSocket from "ws";

const model = process.argv[2];
const client = new OpenAI({ maxRetries: 0 });
const user = (content) => ({ role: "user", content });

async function images() {
  const c = await client.chat.completions.create({
    model,
    messages: [user([
      { type: "text", text: "What are these?" },
      { type: "image_url", image_url: { url: "https://example.com/ant.png" } },
      { type: "image_url", image_url: { url: "data:image/png;base64,iVBORw0KGgo=", detail: "high" } },
    ])],
  });
  assert.equal(c.object, "chat.completion");
  assert.equal(c.choices[0].message.content, "user: What are these?|image: https://example.com/ant.png|image: data:image/png;base64,iVBORw0KGgo=");
  assert.equal(c.choices[0].finish_reason, "stop");
  assert.equal(c.usage.total_tokens, 15);
}

async function stream() {
  const s = client.chat.completions.stream({ model, messages: [user("Grüße, 世界!")], stream_options: { include_usage: true } });
  let events = 0;
  for await (const _ of s) events++;
  const c = await s.finalChatCompletion();
  assert.ok(events > 5);
  assert.equal(c.choices[0].message.content, "user: Grüße, 世界!");
  assert.equal(c.usage.total_tokens, 15);
}

async function structured() {
  const schema = { type: "object", properties: { said: { type: "string" } }, required: ["said"], additionalProperties: false };
  const c = await client.chat.completions.parse({
    model,
    messages: [user("Hi!")],
    response_format: { type: "json_schema", json_schema: { name: "saying", strict: true, schema } },
  });
  assert.deepEqual(JSON.parse(c.choices[0].message.content), { said: "user: Hi!" });
}

// Two rounds of parallel calls, run by the client's own helper, which sends back what it got as it got it.
async function tools(streamed) {
  const seen = [];
  const tool = (name, result) => ({
    type: "function",
    function: {
      name,
      parse: JSON.parse,
      parameters: { type: "object", properties: { round: { type: "integer" }, city: { type: "string" } } },
      function: (args) => (seen.push([name, args]), result),
    },
  });
  const runner = client.chat.completions.runTools({
    model,
    stream: streamed,
    messages: [user("Weather and time?")],
    tools: [tool("weather", '{"celsius":21}'), tool("now", "noon, or so")],
  });
  const text = await runner.finalContent();
  assert.equal(text, "user: Weather and time?|tool: {\"celsius\":21}|tool: noon, or so|tool: {\"celsius\":21}|tool: noon, or so");
  assert.deepEqual(seen, [1, 2].flatMap((round) => [
    ["weather", { round, city: 'München "\\0"' }],
    ["now", { round, city: 'München "\\1"' }],
  ]));
}

async function embeddings() {
  const asked = client.embeddings.create({ model, input: ["one", "three"] });
  if (model === "anthropic") {
    await assert.rejects(asked, (e) => e instanceof OpenAI.BadRequestError && e.code === "unsupported_endpoint");
    return;
  }
  assert.deepEqual((await asked).data.map((d) => d.embedding), [[3, -0.25, 0.5], [5, -0.25, 0.5]]);
}

// A response is stored by who has made it, and everything that follows finds it there.
async function responses() {
  const asked = client.responses.create({ model, input: "Hi!" });
  if (model === "anthropic" || model === "gemini") {
    await assert.rejects(asked, (e) => e instanceof OpenAI.BadRequestError && e.code === "unsupported_endpoint");
    return;
  }
  const first = await asked;
  assert.match(first.output_text, /heard: Hi!$/);
  assert.equal(first.usage.total_tokens, 15);
  assert.deepEqual((await client.responses.retrieve(first.id)).output, first.output);
  const s = client.responses.stream({ model, input: "And?", previous_response_id: first.id });
  let text = "";
  for await (const event of s) if (event.type === "response.output_text.delta") text += event.delta;
  const next = await s.finalResponse();
  assert.match(text, /heard: Hi!, then .* heard: And\?$/);
  assert.equal(next.previous_response_id, first.id);
  assert.equal((await client.responses.cancel(next.id)).id, next.id);
  assert.deepEqual((await client.responses.inputItems.list(next.id)).data, []);
  await client.responses.delete(first.id);
  await assert.rejects(client.responses.retrieve(first.id), OpenAI.NotFoundError);
  await assert.rejects(client.responses.retrieve("resp_68a1f0"), (e) => e instanceof OpenAI.NotFoundError && e.code === "response_not_found");
}

// A session over a WebSocket, with the key in the header, and among the subprotocols, as browsers have it.
async function realtime() {
  globalThis.WebSocket ??= WebSocket; // Node.js 20 has none
  const withoutTLS = { // which the clients would insist on
    onURL: (url) => (url.protocol = "ws:"),
    options: { createConnection: ({ host, port }) => net.connect({ host, port }) },
  };
  for (const Client of [OpenAIRealtimeWS, OpenAIRealtimeWebSocket]) {
    const rt = new Client({ model, ...withoutTLS }, client);
    const ended = new Promise((resolve) => rt.socket.addEventListener("close", (e) => resolve(e.code)));
    const failed = new Promise((resolve) => rt.on("error", resolve));
    if (model === "anthropic" || model === "gemini") {
      await failed;
      continue;
    }
    const next = (type) => new Promise((resolve, reject) => (rt.on(type, resolve), failed.then(reject)));
    const created = await next("session.created");
    assert.ok(created.session.model);
    const updated = next("session.updated");
    rt.send({ type: "session.update", session: { type: "realtime", model, instructions: "Be brief." } });
    assert.deepEqual((await updated).session, { ...created.session, instructions: "Be brief." });
    const done = next("response.done");
    rt.send({ type: "response.create" });
    assert.equal((await done).response.usage.total_tokens, 10);
    rt.send({ type: "session.update", session: { type: "realtime", model: "another" } });
    assert.equal((await failed).error.code, "invalid_model");
    rt.close({ code: 4001, reason: "enough" });
    assert.equal(await ended, 4001);
  }
}

async function refused() {
  if (model === "openai" || model === "azure") return;
  await assert.rejects(
    client.chat.completions.create({ model, messages: [user("Hi!")], logit_bias: { 50256: -100 } }),
    (e) => e instanceof OpenAI.BadRequestError && e.param === "logit_bias",
  );
}

await images();
await stream();
await structured();
await tools(false);
await tools(true);
await embeddings();
await responses();
await realtime();
await refused();
