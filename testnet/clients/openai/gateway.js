// OpenAI's JavaScript client on a gateway. Checks what it gets, and prints the receipts as JSON.
//
// OPENAI_BASE_URL: the gateway, with /v1. OPENAI_API_KEY: one of its keys. STREAMS: how many at once, 50
// unless set.
const assert = require("node:assert/strict");
const { createHash } = require("node:crypto");
const OpenAI = require("openai").default;

const messages = [{ role: "user", content: "What is the capital of France?" }];
const STREAMS = Number(process.env.STREAMS ?? 50);
const sha256 = (text) => createHash("sha256").update(text).digest("hex");

async function whole(client, model) {
  const asked = { model, messages, max_completion_tokens: 32, poq: { tier: "sampled" } };
  const { data, response } = await client.chat.completions.create(asked).withResponse();
  const { content } = data.choices[0].message;
  assert.equal(sha256(content), data.poq.answer_sha256);
  assert.equal(response.headers.get("x-poq-receipt"), data.poq.receipt);
  const receipt = await client.get(`/receipts/${data.poq.receipt}`);
  assert.deepEqual(receipt.leaf, data.poq.leaf);
  return data.poq.receipt;
}

async function streamed(client, model, seed) {
  const asked = { model, messages, max_tokens: 32, seed, stream: true, stream_options: { include_usage: true } };
  let text = "";
  let last;
  let usage;
  for await (const chunk of await client.chat.completions.create(asked)) {
    text += chunk.choices[0]?.delta.content ?? "";
    last = chunk.choices[0]?.finish_reason ? chunk : last;
    usage = chunk.usage ?? usage;
  }
  assert.equal(sha256(text), last.poq.answer_sha256);
  assert.ok(usage.completion_tokens > 0);
  return last.poq.receipt;
}

async function completed(client, model) {
  const prompt = "What is the capital of France?";
  const answer = await client.completions.create({ model, prompt, max_tokens: 32, seed: 1 });
  assert.equal(sha256(answer.choices[0].text), answer.poq.answer_sha256);
  let text = "";
  let last;
  for await (last of await client.completions.create({ model, prompt, max_tokens: 32, seed: 2, stream: true })) {
    text += last.choices[0].text;
  }
  assert.equal(sha256(text), last.poq.answer_sha256);
  return [answer.poq.receipt, last.poq.receipt];
}

async function responded(client, model) {
  const asked = { model, max_output_tokens: 32 };
  const first = await client.responses.create({ ...asked, input: messages, instructions: "Be brief." });
  assert.ok(["completed", "incomplete"].includes(first.status));
  assert.equal(sha256(first.output_text), first.poq.answer_sha256);
  // The next turn has the earlier answer as the client got it: the gateway stores nothing.
  const input = [...messages, ...first.output, { role: "user", content: "And of Spain?" }];
  let text = "";
  let last;
  for await (last of client.responses.stream({ ...asked, input })) {
    text += last.type === "response.output_text.delta" ? last.delta : "";
  }
  assert.equal(last.type, `response.${last.response.status}`);
  assert.equal(sha256(text), last.response.poq.answer_sha256);
  return [first.poq.receipt, last.response.poq.receipt];
}

async function repeated(client, model) {
  const asked = { model, messages, max_tokens: 32, seed: 1000, stop: ["\n\n"] };
  const options = (count) => ({ headers: { "x-stainless-retry-count": count } });
  const first = await client.chat.completions.create(asked, options("0"));
  const again = await client.chat.completions.create(asked, options("1"));
  assert.deepEqual(again.poq, first.poq);
  return first.poq.receipt;
}

async function refusals(client, model) {
  const refused = (asked, kind, code) =>
    assert.rejects(client.chat.completions.create(asked), (error) => error instanceof kind && error.code === code);
  await refused({ model: "gpt-4", messages }, OpenAI.NotFoundError, "model_not_found");
  await refused({ model, messages, n: 2 }, OpenAI.BadRequestError, "unsupported_parameter");
  const stranger = client.withOptions({ apiKey: "poq-wrong" });
  await assert.rejects(async () => await stranger.models.list(), OpenAI.AuthenticationError);
}

async function main() {
  const client = new OpenAI({ baseURL: process.env.OPENAI_BASE_URL });
  const model = (await client.models.list()).data[0].id;
  const receipts = [await whole(client, model)];
  // Equal bodies at once would be taken for repetitions if a client has to send one again.
  receipts.push(...(await Promise.all(Array.from({ length: STREAMS }, (_, seed) => streamed(client, model, seed)))));
  receipts.push(...(await completed(client, model)), ...(await responded(client, model)), await repeated(client, model));
  assert.equal(new Set(receipts).size, receipts.length);
  await refusals(client, model);
  console.log(JSON.stringify(receipts));
}

main();
