// Keeps files and has batches made of them by the gateway at OPENAI_BASE_URL, as a program for OpenAI would.
import assert from "node:assert/strict";
import OpenAI, { toFile } from "openai";

const named = (provider) => new OpenAI({ maxRetries: 0, defaultHeaders: provider && { "X-Berry-Provider": provider } });
const input = '{"body":"ask"}\n'.repeat(100_000);
const file = () => toFile(Buffer.from(input), "input.jsonl");
const client = named("q");

await assert.rejects(
  named().files.create({ file: await file(), purpose: "batch" }),
  (e) => e instanceof OpenAI.BadRequestError && e.code === "ambiguous_provider",
);
const kept = await client.files.create({ file: await file(), purpose: "batch" });
assert.equal(kept.bytes, input.length);
const batch = await client.batches.create({ input_file_id: kept.id, endpoint: "/v1/chat/completions", completion_window: "24h" });
assert.deepEqual(await client.batches.retrieve(batch.id), batch);
await assert.rejects(client.batches.cancel(batch.id), OpenAI.ConflictError);
assert.deepEqual((await client.batches.list({ limit: 5 })).data, [batch]);
assert.equal(await (await client.files.content(batch.output_file_id)).text(), input.replaceAll("ask", "answer"));
const names = [];
for await (const f of client.files.list({ limit: 1 })) names.push(f.filename);
assert.deepEqual(names, ["input.jsonl", "output.jsonl"]);
assert.equal((await client.files.delete(kept.id)).deleted, true);
await assert.rejects(client.files.retrieve(kept.id), OpenAI.NotFoundError);
assert.deepEqual((await named("p").files.list()).data, []);
