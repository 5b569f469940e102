// The messages of poq.v1 for CosmJS, built at run time from the chain's .proto files.
const path = require("node:path");
const protobuf = require("protobufjs");
const { Registry } = require("@cosmjs/proto-signing");
const { AminoTypes, createBankAminoConverters, defaultRegistryTypes } = require("@cosmjs/stargate");

const PROTO = path.join(__dirname, "../../../proto");

const root = new protobuf.Root();
root.resolvePath = (_origin, target) => path.join(PROTO, target);
root.loadSync(["poq/v1/tx.proto", "poq/v1/query.proto"], { keepCase: true }).resolveAll();

const messages = root
  .lookupService("poq.v1.Msg")
  .methodsArray.map((method) => method.resolvedRequestType);

/** A type of poq.v1 by its short name. */
const type = (name) => root.lookupType(`poq.v1.${name}`);

/** Encodes every message of the chain. Fields have their names in the .proto files. */
const registry = new Registry([
  ...defaultRegistryTypes,
  ...messages.map((message) => [
    `/poq.v1.${message.name}`,
    {
      create: (fields) => message.fromObject(fields),
      encode: (fields, writer) => message.encode(fields, writer),
      decode: (bytes) => message.decode(bytes),
    },
  ]),
]);

/** Amino's JSON of every message: no default values, 64-bit integers are strings, bytes base64. */
const aminoTypes = new AminoTypes({
  ...createBankAminoConverters(),
  ...Object.fromEntries(
    messages.map((message) => [
      `/poq.v1.${message.name}`,
      {
        aminoType: `poq/${message.name}`,
        toAmino: (fields) => {
          const bytes = message.encode(message.fromObject(fields)).finish();
          return message.toObject(message.decode(bytes), { longs: String, bytes: String });
        },
        fromAmino: (fields) => fields,
      },
    ]),
  ),
});

module.exports = { aminoTypes, messages, registry, type };
