// A tour of CosmJS on a Proof of Quality chain. Prints its results as JSON.
//
// RPC: address of a node's RPC. MNEMONIC: words of an account that has a few million upoq.
const assert = require("node:assert/strict");
const { Secp256k1HdWallet, createMultisigThresholdPubkey, pubkeyToAddress } = require("@cosmjs/amino");
const { fromBech32, toBech32 } = require("@cosmjs/encoding");
const { DirectSecp256k1HdWallet, decodeTxRaw } = require("@cosmjs/proto-signing");
const {
  BroadcastTxError,
  GasPrice,
  SigningStargateClient,
  makeMultisignedTxBytes,
} = require("@cosmjs/stargate");
const { aminoTypes, registry, type } = require("./poq");

const rpc = process.env.RPC ?? "http://127.0.0.1:26657";
const mnemonic = process.env.MNEMONIC;
const prefix = { prefix: "poq" };
const options = {
  registry,
  aminoTypes,
  gasPrice: GasPrice.fromString("0.025upoq"),
  broadcastPollIntervalMs: 300,
};

/** An answer of poq.v1.Query, for example ask(client, "Models", {}). */
async function ask(client, method, fields) {
  const [request, response] = [type(`Query${method}Request`), type(`Query${method}Response`)];
  const data = request.encode(request.fromObject(fields)).finish();
  const { value } = await client.forceGetQueryClient().queryAbci(`/poq.v1.Query/${method}`, data);
  return response.toObject(response.decode(value), { longs: String, enums: String });
}

/** The response to the first message of a transaction that must have succeeded. */
function response(result, name) {
  assert.equal(result.code, 0, result.rawLog);
  const [{ typeUrl, value }] = result.msgResponses;
  assert.equal(typeUrl, `/poq.v1.${name}`);
  return type(name).toObject(type(name).decode(value), { longs: String });
}

/** Sends coins back from a multisignature account of three keys, two of which sign. */
async function multisig(client, address, coins) {
  const wallets = await Promise.all([1, 2, 3].map(() => Secp256k1HdWallet.generate(24, prefix)));
  const keys = await Promise.all(wallets.map(async (wallet) => (await wallet.getAccounts())[0]));
  const values = keys.map(({ pubkey }) => ({
    type: "tendermint/PubKeySecp256k1",
    value: Buffer.from(pubkey).toString("base64"),
  }));
  const pubkey = createMultisigThresholdPubkey(values, 2);
  const joint = pubkeyToAddress(pubkey, "poq");
  const funded = await client.sendTokens(address, joint, coins("10000"), "auto");
  assert.equal(funded.code, 0, funded.rawLog);

  const { accountNumber, sequence } = await client.getSequence(joint);
  const signerData = { accountNumber, sequence, chainId: await client.getChainId() };
  const message = {
    typeUrl: "/cosmos.bank.v1beta1.MsgSend",
    value: { fromAddress: joint, toAddress: address, amount: coins("1000") },
  };
  const fee = { amount: coins("5000"), gas: "200000" };
  const signatures = new Map();
  let body;
  for (const index of [2, 0]) {
    const { address: member } = keys[index];
    const offline = await SigningStargateClient.offline(wallets[index], options);
    const signed = await offline.sign(member, [message], fee, "two of three", signerData);
    signatures.set(member, signed.signatures[0]);
    body = signed.bodyBytes;
  }
  const bytes = makeMultisignedTxBytes(pubkey, sequence, fee, body, signatures);
  const sent = await client.broadcastTx(bytes);
  assert.equal(sent.code, 0, sent.rawLog);
  const stored = await client.getAccount(joint);
  assert.deepEqual(stored.pubkey, pubkey);
  assert.equal(stored.sequence, sequence + 1);
}

async function tour() {
  assert(mnemonic, "set MNEMONIC to the words of an account that has a few million upoq");
  const wallet = await DirectSecp256k1HdWallet.fromMnemonic(mnemonic, prefix);
  const [{ address }] = await wallet.getAccounts();
  // Newer versions of the bech32 library throw here; package.json pins one that does not.
  assert.equal(toBech32(fromBech32(address).prefix, fromBech32(address).data), address);
  const nobody = await DirectSecp256k1HdWallet.generate(24, prefix);
  const [{ address: friend }] = await nobody.getAccounts();
  const client = await SigningStargateClient.connectWithSigner(rpc, wallet, options);
  const coins = (amount) => [{ denom: "upoq", amount }];

  // Accounts and balances. An account that never received coins does not exist.
  const before = await client.getAccount(address);
  assert.equal(before.address, address);
  assert.equal(await client.getAccount(friend), null);
  await assert.rejects(client.getSequence(friend), /does not exist on chain/);
  assert((await client.getHeight()) > 0);
  const balance = await client.getBalance(address, "upoq");
  assert.deepEqual(await client.getAllBalances(address), [balance]);
  const { supply } = await client.forceGetQueryClient().bank.totalSupply();
  assert.equal(supply[0].denom, "upoq");

  // A bank send with estimated gas, in SIGN_MODE_DIRECT.
  const send = {
    typeUrl: "/cosmos.bank.v1beta1.MsgSend",
    value: { fromAddress: address, toAddress: friend, amount: coins("1000") },
  };
  const gas = await client.simulate(address, [send], "hello");
  const sent = await client.signAndBroadcast(address, [send], "auto", "hello");
  assert.equal(sent.code, 0, sent.rawLog);
  assert(Number(sent.gasUsed) >= gas && sent.gasUsed <= sent.gasWanted);
  assert.deepEqual(await client.getBalance(friend, "upoq"), coins("1000")[0]);

  // A question: one of the chain's own messages.
  const { models } = await ask(client, "Models", {});
  const question = (prompt) => ({
    typeUrl: "/poq.v1.MsgSubmitTask",
    value: { user: address, model: models[0].id, prompt, max_answer_bytes: 200, max_fee: "1000000" },
  });
  const asked = await client.signAndBroadcast(address, [question("What is 1 + 1?")], "auto");
  const { task_id: first } = response(asked, "MsgSubmitTaskResponse");
  const { task } = await ask(client, "Task", { id: first });
  assert.equal(task.user, address);

  // The same message in the JSON form that hardware wallets sign.
  const amino = await Secp256k1HdWallet.fromMnemonic(mnemonic, prefix);
  const signer = await SigningStargateClient.connectWithSigner(rpc, amino, options);
  const messages = [question('Is "1 < 2" & 3 > 2?'), send];
  const signed = await signer.signAndBroadcast(address, messages, "auto", "<&>");
  const { task_id: second } = response(signed, "MsgSubmitTaskResponse");

  // The events of the task; all events are indexed.
  const found = await client.searchTx([{ key: "poq_task_submitted.user", value: address }]);
  assert.deepEqual(
    found.slice(-2).map((tx) => tx.hash),
    [asked.transactionHash, signed.transactionHash],
  );
  assert.equal((await client.getTx(sent.transactionHash)).height, sent.height);
  assert.equal(await client.getTx("00".repeat(32)), null);
  const { txResponse } = await client.forceGetQueryClient().tx.getTx(sent.transactionHash);
  assert.equal(txResponse.height, BigInt(sent.height));
  const { sequence } = await client.getSequence(address);
  assert.equal(sequence, before.sequence + 3);

  // Refusals have the Cosmos SDK's codes.
  const refusal = async (promise) => {
    const error = await promise.then(assert.fail, (error) => error);
    assert(error instanceof BroadcastTxError, error);
    return `${error.codespace} ${error.code}`;
  };
  const unpaid = { amount: coins("1"), gas: "200000" };
  const fee = { amount: coins("5000"), gas: "200000" };
  const rich = { ...send, value: { ...send.value, amount: coins("99999999999999999") } };
  const refusals = {
    "fee too low": await refusal(client.signAndBroadcastSync(address, [send], unpaid)),
    "too much": await refusal(client.signAndBroadcastSync(address, [rich], fee)),
  };
  await assert.rejects(
    client.simulate(address, [rich], ""),
    /Query failed with \(6\): rpc error: code = Unknown desc = failed to execute message; message index: 0: .*insufficient funds/,
  );

  // Every entry of a block is a transaction; the first one has the validators' VRF outputs.
  const { txs } = await client.getBlock(sent.height);
  const [outputs] = decodeTxRaw(txs[0]).body.messages;
  assert.equal(outputs.typeUrl, "/poq.v1.MsgVoteOutputs");
  const at = await client.searchTx(`tx.height=${sent.height}`);
  assert(at.some((tx) => tx.hash === sent.transactionHash));
  for (const tx of at) decodeTxRaw(tx.tx);

  const metadata = await client.forceGetQueryClient().bank.denomMetadata("upoq");
  assert.deepEqual([metadata.base, metadata.display], ["upoq", "poq"]);
  await multisig(client, address, coins);
  client.disconnect();
  signer.disconnect();
  return { address, sent: sent.transactionHash, gas, tasks: [first, second], refusals };
}

tour().then(
  (found) => console.log(JSON.stringify(found, null, 2)),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
