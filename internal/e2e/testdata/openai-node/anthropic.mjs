// Talks to the gateway at ANTHROPIC_BASE_URL, as a program for Anthropic would, asking for the model that is named in the command.
import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";

const model = process.argv[2];
const client = new Anthropic({ maxRetries: 0 });
const user = (content) => ({ role: "user", content });
const ask = (content, more) => ({ model, max_tokens: 1000, messages: [user(content)], ...more });

async function message() {
  const m = await client.messages.create(ask([
    { type: "text", text: "What are these?" },
    { type: "image", source: { type: "url", url: "https://example.com/ant.png" } },
    { type: "image", source: { type: "base64", media_type: "image/png", data: "iVBORw0KGgo=" } },
  ], { system: "Be brief.", metadata: { user_id: "u-1" } }));
  assert.equal(m.content[0].text, "system: Be brief.|user: What are these?|image: https://example.com/ant.png|image: data:image/png;base64,iVBORw0KGgo=");
  assert.equal(m.stop_reason, "end_turn");
  assert.equal(m.usage.input_tokens + m.usage.output_tokens, 15);
  assert.ok(m._request_id);
  assert.equal((await client.beta.messages.create(ask("Hi!"))).content[0].text, "user: Hi!");
}

async function stream() {
  let pieces = 0;
  const s = client.messages.stream(ask("Grüße, 世界!")).on("text", () => pieces++);
  const m = await s.finalMessage();
  assert.ok(pieces > 3);
  assert.equal(m.content[0].text, "user: Grüße, 世界!");
  assert.equal(m.usage.output_tokens, 5);
}

// Two rounds of parallel calls, whose results go back with what the client got as it got it.
async function tools(streamed) {
  const seen = [];
  const input_schema = { type: "object", properties: { round: { type: "integer" }, city: { type: "string" } } };
  const results = { weather: '{"celsius":21}', now: "noon, or so" };
  const tools = Object.keys(results).map((name) => ({ name, input_schema }));
  const messages = [user("Weather and time?")];
  for (;;) {
    const params = { model, max_tokens: 1000, messages, tools };
    const m = await (streamed ? client.messages.stream(params).finalMessage() : client.messages.create(params));
    messages.push({ role: "assistant", content: m.content });
    if (m.stop_reason !== "tool_use") {
      assert.equal(m.content[0].text, "user: Weather and time?|tool: {\"celsius\":21}|tool: noon, or so|tool: {\"celsius\":21}|tool: noon, or so");
      break;
    }
    const calls = m.content.filter((block) => block.type === "tool_use");
    seen.push(...calls.map((call) => [call.name, call.input]));
    messages.push(user(calls.map((call) => ({ type: "tool_result", tool_use_id: call.id, content: results[call.name] }))));
  }
  assert.deepEqual(seen, [1, 2].flatMap((round) => [
    ["weather", { round, city: 'München "\\0"' }],
    ["now", { round, city: 'München "\\1"' }],
  ]));
}

async function countTokens() {
  const asked = client.messages.countTokens({ model, messages: [user("Hi!")] });
  if (model === "anthropic") {
    assert.equal((await asked).input_tokens, 1);
    return;
  }
  await assert.rejects(asked, (e) => e instanceof Anthropic.BadRequestError && e.error.error.type === "invalid_request_error");
}

async function models() {
  const names = [];
  for await (const m of client.models.list({ limit: 3 })) names.push(m.id);
  assert.ok(names.length > 3 && names.includes(model));
  assert.equal((await client.models.retrieve(model)).id, model);
}

async function refused() {
  await assert.rejects(client.messages.create(ask("Hi!", { model: "none" })), (e) => e instanceof Anthropic.NotFoundError);
  const stranger = new Anthropic({ apiKey: "berry-nobody", maxRetries: 0 });
  await assert.rejects(stranger.messages.create(ask("Hi!")), (e) => e instanceof Anthropic.AuthenticationError);
  const bearer = new Anthropic({ apiKey: null, authToken: process.env.ANTHROPIC_API_KEY, maxRetries: 0 });
  assert.equal((await bearer.messages.create(ask("Hi!"))).content[0].text, "user: Hi!");
}

await message();
await stream();
await tools(false);
await tools(true);
await countTokens();
await models();
await refused();
