// Sends 40 MB where they are refused, ten times each, whole and in chunks, and hears every refusal.
const { BERRY_URL: url, BERRY_TOKEN: token } = process.env;
const piece = new Uint8Array(1 << 20).fill(120);
const whole = new Uint8Array(40 << 20).fill(120);

async function* pieces() {
  for (let i = 0; i < 40; i++) yield piece;
}

for (const [path, key, want] of [["/v1/chat/completions", token, 413], ["/v1/chat/completions", "berry-nobody-0123456789", 401], ["/v1/nothing", token, 404]]) {
  for (const chunked of [false, true]) {
    const got = [];
    for (let i = 0; i < 10; i++) {
      try {
        const response = await fetch(url + path, {
          method: "POST",
          headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
          body: chunked ? ReadableStream.from(pieces()) : whole,
          duplex: "half",
        });
        await response.text();
        got.push(response.status);
      } catch (e) {
        got.push(String(e.cause ?? e));
      }
    }
    if (got.some((status) => status !== want)) {
      console.log(path, chunked ? "chunked" : "whole", got, "want", want);
      process.exitCode = 1;
    }
  }
}
