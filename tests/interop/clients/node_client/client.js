// A node-opcua client that does what it is told: one JSON request a line on stdin,
// {"do": ACT, ...}, one JSON answer a line on stdout, {"ok": result} or {"error": text}.

const { readFileSync } = require("node:fs");
const readline = require("node:readline");

const opcua = require("node-opcua");

const { AttributeIds, DataType, OPCUACertificateManager, OPCUAClient, TimestampsToReturn } = opcua;
const CLOSING_MS = 3000;

const held = { client: null, session: null, subscription: null, seen: {}, events: [] };

async function connect({ url, user, password, policy = "None", uri, own, pki, server, retries = 0 }) {
  const secured = policy !== "None";
  const options = {
    applicationName: "trimtab interop",
    applicationUri: uri,
    clientName: "node-opcua",
    endpointMustExist: false,
    securityMode: opcua.MessageSecurityMode[secured ? "SignAndEncrypt" : "None"],
    securityPolicy: opcua.SecurityPolicy[policy],
    requestedSessionTimeout: 20000,
    connectionStrategy: { initialDelay: 100, maxDelay: 500, maxRetry: retries },
  };
  if (secured) {
    const trust = new OPCUACertificateManager({ rootFolder: pki });
    await trust.initialize();
    await trust.trustCertificate(readFileSync(server));
    Object.assign(options, {
      certificateFile: own.certificate,
      privateKeyFile: own.key,
      clientCertificateManager: trust,
    });
  }
  held.client = OPCUAClient.create(options);
  await held.client.connect(url);
  held.session = await held.client.createSession({
    type: opcua.UserTokenType.UserName,
    userName: user,
    password,
  });
  return held.session.serverCertificate?.length ?? 0;
}

async function browse({ node }) {
  const { statusCode, references } = await held.session.browse(node);
  return { status: statusCode.name, names: references.map((one) => one.browseName.name) };
}

const plain = (value) =>
  value && typeof value === "object" ? JSON.parse(JSON.stringify(value)) : value;

const shown = (data) => ({
  value: plain(data.value?.value),
  type: DataType[data.value?.dataType],
  status: data.statusCode.name,
  source: data.sourceTimestamp?.toISOString() ?? null,
});

async function read({ nodes, attribute = "Value" }) {
  const wanted = nodes.map((nodeId) => ({ nodeId, attributeId: AttributeIds[attribute] }));
  return (await held.session.read(wanted)).map(shown);
}

const variant = ({ type, value }) => ({ dataType: DataType[type], value });

async function write({ items }) {
  const wanted = items.map((item) => ({
    nodeId: item.node,
    attributeId: AttributeIds.Value,
    value: { value: variant(item) },
  }));
  return (await held.session.write(wanted)).map((status) => status.name);
}

async function call({ object, method, inputs = [] }) {
  const request = { objectId: object, methodId: method, inputArguments: inputs.map(variant) };
  const result = await held.session.call(request);
  const outputs = result.outputArguments.map((one) => one.value);
  return { status: result.statusCode.name, outputs };
}

async function subscribed(interval) {
  held.subscription ??= await held.session.createSubscription2({
    requestedPublishingInterval: interval,
    requestedLifetimeCount: 100,
    requestedMaxKeepAliveCount: 10,
    publishingEnabled: true,
  });
  return held.subscription;
}

async function subscribe({ nodes, interval = 100 }) {
  const subscription = await subscribed(interval);
  for (const nodeId of nodes) {
    held.seen[nodeId] = [];
    const item = await subscription.monitor(
      { nodeId, attributeId: AttributeIds.Value },
      { samplingInterval: interval, queueSize: 10, discardOldest: true },
      TimestampsToReturn.Both,
    );
    item.on("changed", (data) => held.seen[nodeId].push(shown(data)));
  }
  return subscription.subscriptionId;
}

// Notifications of a node since the last time it was asked for.
function changes({ node }) {
  return held.seen[node].splice(0);
}

async function listen({ node, fields }) {
  const subscription = await subscribed(100);
  const item = await subscription.monitor(
    { nodeId: node, attributeId: AttributeIds.EventNotifier },
    { samplingInterval: 0, queueSize: 100, discardOldest: true, filter: opcua.constructEventFilter(fields) },
    TimestampsToReturn.Both,
  );
  item.on("changed", (values) => {
    const pairs = fields.map((name, place) => [name, plain(values[place]?.value)]);
    held.events.push(Object.fromEntries(pairs));
  });
  return subscription.subscriptionId;
}

function events() {
  return held.events.splice(0);
}

async function history({ node, start, end }) {
  const result = await held.session.readHistoryValue(node, new Date(start), new Date(end));
  return { status: result.statusCode.name, values: (result.historyData?.dataValues ?? []).map(shown) };
}

// Ends whatever is held, also where the server is gone and no answer will come.
async function disconnect() {
  const { client } = held;
  Object.assign(held, { client: null, session: null, subscription: null, seen: {}, events: [] });
  const closing = (async () => client?.disconnect())().catch(() => {});
  await Promise.race([closing, new Promise((done) => setTimeout(done, CLOSING_MS))]);
  return true;
}

const ACTS = { connect, browse, read, write, call, subscribe, changes, listen, events, history, disconnect };

async function answer(line) {
  try {
    const request = JSON.parse(line);
    return { ok: await ACTS[request.do](request) };
  } catch (error) {
    return { error: String(error?.message ?? error) };
  }
}

async function main() {
  console.log = console.error; // stdout is for answers; the library writes its warnings to the log
  for await (const line of readline.createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(await answer(line))}\n`);
  }
  await disconnect();
  process.exit(0);
}

main();
