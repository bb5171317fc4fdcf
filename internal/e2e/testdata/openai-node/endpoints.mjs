// Makes and changes images, speaks, listens and moderates by the gateway at OPENAI_BASE_URL, as a program for OpenAI would.
import assert from "node:assert/strict";
import OpenAI, { toFile } from "openai";

const model = "m";
const client = new OpenAI({ maxRetries: 0 });
const sound = () => toFile(Buffer.alloc(100_000, "x"), "a.mp3", { type: "audio/mpeg" });
const decoded = (image) => Buffer.from(image.b64_json, "base64").toString();
const types = async (stream) => {
  const seen = [];
  for await (const event of stream) seen.push(event.type);
  return seen;
};

async function images() {
  const made = await client.images.generate({ model, prompt: "an ant" });
  assert.equal(decoded(made.data[0]), "an ant|");
  assert.deepEqual(
    await types(await client.images.generate({ model, prompt: "an ant", stream: true, partial_images: 1 })),
    ["image_generation.partial_image", "image_generation.completed"],
  );
  const image = await toFile(Buffer.from("123"), "a.png", { type: "image/png" });
  assert.equal(decoded((await client.images.edit({ model, prompt: "red", image })).data[0]), "red|a.png 3");
  assert.deepEqual(
    await types(await client.images.edit({ image, prompt: "red", stream: true, model })),
    ["image_edit.partial_image", "image_edit.completed"],
  );
  assert.equal(decoded((await client.images.createVariation({ image, model })).data[0]), "|a.png 3");
}

async function speech() {
  const said = await client.audio.speech.create({ model, voice: "alloy", input: "1000000" });
  assert.equal((await said.arrayBuffer()).byteLength, 1_000_000);
}

async function transcripts() {
  assert.equal((await client.audio.transcriptions.create({ model, file: await sound() })).text, "a.mp3 100000");
  assert.equal((await client.audio.transcriptions.create({ file: await sound(), model })).text, "a.mp3 100000");
  assert.equal(await client.audio.transcriptions.create({ file: await sound(), model, response_format: "text" }), "a.mp3 100000");
  assert.deepEqual(
    await types(await client.audio.transcriptions.create({ model, file: await sound(), stream: true })),
    ["transcript.text.delta", "transcript.text.done"],
  );
  assert.equal((await client.audio.translations.create({ model, file: await sound() })).text, "a.mp3 100000");
}

async function moderation() {
  assert.equal((await client.moderations.create({ model, input: "x" })).results[0].flagged, true);
}

async function refused() {
  await assert.rejects(
    client.audio.transcriptions.create({ model: "none", file: await sound() }),
    (e) => e instanceof OpenAI.NotFoundError && e.code === "model_not_found",
  );
}

await images();
await speech();
await transcripts();
await moderation();
await refused();
