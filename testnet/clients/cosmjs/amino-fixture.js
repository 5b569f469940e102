// Prints the documents that CosmJS signs in SIGN_MODE_LEGACY_AMINO_JSON for messages of every type, with
// a fixed key. The application's tests read them from app/src/tx/amino/cosmjs.json.
const { Secp256k1Wallet, serializeSignDoc } = require("@cosmjs/amino");
const { SigningStargateClient } = require("@cosmjs/stargate");
const { TxRaw } = require("cosmjs-types/cosmos/tx/v1beta1/tx");
const { aminoTypes, messages, registry } = require("./poq");

const other = "poq12xq57yyxwzkw6tthcxq9mhtxxj7f63e324de5e";
const awkward = 'Is "a < b" & c > d? \\ \n\t\b\f\u0001\u007f ü 漢 😀 </script>';
const bytes = Buffer.from(Array.from({ length: 32 }, (_, index) => 255 - index));
const max64 = "18446744073709551615";
const coins = [{ denom: "upoq", amount: "5" }];

/** A value for every field, all of them set. */
function full(type, name, me) {
  const value = (field) => {
    if (["user", "operator", "authority", "challenger"].includes(field.name)) return me;
    if (field.resolvedType?.fields) return full(field.resolvedType, field.name, me);
    if (field.resolvedType) return 1;
    const scalars = {
      string: awkward,
      bytes,
      bool: true,
      uint32: 4294967295,
      uint64: max64,
      sint32: -2147483648,
    };
    return scalars[field.type];
  };
  const fields = type.fieldsArray.map((field) => {
    const one = value(field);
    return [field.name, field.repeated ? [one, one] : one];
  });
  return Object.fromEntries(fields);
}

/** Nothing but the signer, and nested messages without fields. */
function sparse(type, me) {
  const fields = type.fieldsArray.flatMap((field) => {
    if (["user", "operator", "authority", "challenger"].includes(field.name)) return [[field.name, me]];
    if (!field.resolvedType?.fields) return [];
    return [[field.name, field.repeated ? [{}, {}] : {}]];
  });
  return Object.fromEntries(fields);
}

async function main() {
  const wallet = await Secp256k1Wallet.fromKey(Uint8Array.from({ length: 32 }, () => 1), "poq");
  const [{ address: me }] = await wallet.getAccounts();
  let document;
  const signer = {
    getAccounts: () => wallet.getAccounts(),
    signAmino: (address, doc) => {
      document = Buffer.from(serializeSignDoc(doc)).toString();
      return wallet.signAmino(address, doc);
    },
  };
  const client = await SigningStargateClient.offline(signer, { registry, aminoTypes });
  const send = {
    typeUrl: "/cosmos.bank.v1beta1.MsgSend",
    value: { fromAddress: me, toAddress: other, amount: coins },
  };
  const multiSend = {
    typeUrl: "/cosmos.bank.v1beta1.MsgMultiSend",
    value: { inputs: [{ address: me, coins }], outputs: [{ address: other, coins }] },
  };
  const poq = (message, value) => ({ typeUrl: `/poq.v1.${message.name}`, value });
  const fee = { amount: coins, gas: "400000" };
  const free = { amount: [], gas: "0" };
  const cases = [
    ["send", [send], { ...fee, payer: me, granter: other }, awkward, 12345n],
    ["multi-send", [multiSend], fee, "", undefined],
    ["several", [send, multiSend, poq(messages[0], sparse(messages[0], me))], fee, "", undefined],
  ];
  for (const message of messages) {
    const name = message.name.slice(3);
    cases.push([name, [poq(message, full(message, "", me))], fee, "", undefined]);
    cases.push([`${name}, sparse`, [poq(message, sparse(message, me))], free, "", undefined]);
  }
  const signerData = { accountNumber: 3, sequence: 7, chainId: "poq-test-1" };
  const fixture = [];
  for (const [name, msgs, used, memo, timeout] of cases) {
    const raw = await client.sign(me, msgs, used, memo, signerData, timeout);
    const tx = Buffer.from(TxRaw.encode(raw).finish()).toString("base64");
    fixture.push({ name, document, tx });
  }
  console.log(JSON.stringify(fixture, null, 1));
}

main();
