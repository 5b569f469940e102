// A tour of OpenAI's client for JavaScript on an inference node. Prints its results as JSON.
//
// OPENAI_BASE_URL: the node's server, with /v1. OPENAI_API_KEY: one of the node's keys; unset if it has
// none.
const assert = require("node:assert/strict");
const OpenAI = require("openai").default;

const baseURL = process.env.OPENAI_BASE_URL ?? "http://127.0.0.1:8080/v1";
const messages = [{ role: "user", content: "What is the capital of France?" }];

async function models(client) {
  const { data } = await client.models.list();
  const model = data[0].id;
  assert.equal((await client.models.retrieve(model)).id, model);
  await assert.rejects(client.models.retrieve("gpt-4"), OpenAI.NotFoundError);
  return model;
}

async function chats(client, model) {
  const asked = { model, messages, max_tokens: 32, max_completion_tokens: 32 };
  const answer = await client.chat.completions.create(asked);
  const text = answer.choices[0].message.content;
  assert.match(text, /Paris/);
  assert.equal(answer.choices[0].finish_reason, "stop");

  // The same question streamed, with the numbers of tokens at the end.
  const options = { stream: true, stream_options: { include_usage: true } };
  let parts = "";
  let usage;
  for await (const chunk of await client.chat.completions.create({ ...asked, ...options })) {
    parts += chunk.choices[0]?.delta.content ?? "";
    usage = chunk.usage ?? usage;
  }
  assert.equal(parts, text);
  assert.deepEqual(usage, answer.usage);
  const stream = client.chat.completions.stream(asked);
  assert.equal(await stream.finalContent(), text);

  // An answer that ends before a stop text, also streamed.
  const cut = await client.chat.completions.create({ ...asked, stop: "Paris" });
  assert.equal(cut.choices[0].message.content, text.split("Paris")[0]);
  const cutStream = client.chat.completions.stream({ ...asked, stop: ["Paris"] });
  assert.equal(await cutStream.finalContent(), text.split("Paris")[0]);
  return text;
}

async function completions(client, model) {
  const asked = { model, prompt: "The capital of France is", temperature: 0 };
  const answer = await client.completions.create(asked);
  const text = answer.choices[0].text;
  assert.match(text, /^ Paris/);
  let parts = "";
  for await (const chunk of await client.completions.create({ ...asked, stream: true })) {
    parts += chunk.choices[0]?.text ?? "";
  }
  assert.equal(parts, text);
  return text;
}

async function errors(client, model) {
  const ask = (settings) => client.chat.completions.create({ model, messages, ...settings });
  await assert.rejects(ask({ n: 2 }), (error) => {
    assert(error instanceof OpenAI.BadRequestError);
    assert.equal(error.param, "n");
    return true;
  });
  await assert.rejects(ask({ model: "gpt-4" }), OpenAI.NotFoundError);
  const long = [{ role: "user", content: "word ".repeat(20_000) }];
  await assert.rejects(ask({ messages: long, stream: true }), OpenAI.BadRequestError);
  // A client that disconnects.
  const left = await ask({ stream: true });
  left.controller.abort();
  if (process.env.OPENAI_API_KEY) {
    const stranger = new OpenAI({ baseURL, apiKey: "wrong" });
    await assert.rejects(stranger.models.list(), OpenAI.AuthenticationError);
  }
}

async function tour() {
  const client = new OpenAI({ baseURL, apiKey: process.env.OPENAI_API_KEY ?? "none" });
  const model = await models(client);
  const chat = await chats(client, model);
  const completion = await completions(client, model);
  await errors(client, model);
  return { model, chat, completion };
}

tour()
  .then((found) => console.log(JSON.stringify(found, null, 2)))
  .catch((error) => {
    console.error(error);
    process.exitCode = 1;
  });
