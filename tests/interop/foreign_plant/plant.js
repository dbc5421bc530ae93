// A plant of another make: its own names, string node ids, degC, g/L, percent and raw counts, its own
// PI loops and its own selector.  It knows nothing of trimtab: no heartbeat, lease, permit or track.
//
//   node plant.js --port 4855 --speed 1500 --log plant.log --pki FOLDER [--selector REMOTE] [--extra 1]
//                 [--users apc:secret,operator:secret] [--limit 5] [--publishing 2000] [--bulk 3000] [--ahead 300] [--strict]
//
// Every write and its answer goes to the log, one JSON object a line.
"use strict";

const fs = require("fs");
const { parseArgs } = require("util");
const habits = require("./habits");
const { Reactor, STEP_S } = require("./reactor");

const { values: options } = parseArgs({
  options: {
    port: { type: "string" },
    speed: { type: "string", default: "1500" },
    log: { type: "string" },
    pki: { type: "string" },
    selector: { type: "string", default: "LOCAL" }, // what a restart finds it at
    extra: { type: "string", default: "0" }, // namespaces registered before ours: our index moves
    users: { type: "string", default: "" }, // name:password,...: they only, and encrypted only
    limit: { type: "string", default: "0" }, // operations in a request (one in a write), references in an answer
    publishing: { type: "string", default: "0" }, // the shortest interval granted [ms]
    bulk: { type: "string", default: "0" }, // further variables, of no use
    ahead: { type: "string", default: "0" }, // of the machine's clock [s]; below 0: behind it
    strict: { type: "boolean", default: false }, // refuses to write a value that has a time
  },
});
if (Number(options.ahead)) habits.shiftClock(Number(options.ahead));
const {
  DataType, MessageSecurityMode, OPCUACertificateManager, OPCUAServer, SecurityPolicy, StatusCodes, Subscription,
  makeEUInformation,
} = require("node-opcua");

const URI = "urn:othermake:RK1:leitsystem";
const CYCLE_MS = 25;
const MOST_STEPS = 2000; // a cycle after a stall catches up by so many steps at most
const KELVIN = 273.15;
const COUNTS = 27648 / 700; // the analogue input: 0 to 27648 counts for 0 to 700 kg/m3
const toRaw = (celsius) => ((celsius - 26.85) / 50) * 27648; // the analogue output: 300 to 350 K
const fromRaw = (raw) => 26.85 + (raw / 27648) * 50;
const GRAM_PER_LITRE = makeEUInformation("GL", "g/l", "gram per litre");
const CELSIUS = makeEUInformation("CEL", "°C", "degree Celsius");
const PERCENT = makeEUInformation("P1", "%", "percent");

const log = (entry) => fs.appendFileSync(options.log, JSON.stringify({ at: Date.now() / 1000, ...entry }) + "\n");

function build(server) {
  const space = server.engine.addressSpace;
  for (let i = 0; i < Number(options.extra); i++) space.registerNamespace(`urn:othermake:library${i}`);
  const namespace = space.registerNamespace(URI);
  const folder = namespace.addFolder(space.rootFolder.objects, { browseName: "RK1", nodeId: "s=RK1" });
  const tags = {};
  const add = (name, dataType, { writable = false, unit = null, range = null, first = 0 } = {}) => {
    const rights = writable ? "CurrentRead | CurrentWrite" : "CurrentRead";
    const description = {
      componentOf: folder,
      browseName: name,
      nodeId: `s=RK1/${name}`,
      dataType,
      accessLevel: rights,
      userAccessLevel: rights,
      minimumSamplingInterval: 50,
      value: { dataType: DataType[dataType], value: first },
    };
    const analogue = { engineeringUnits: unit, engineeringUnitsRange: range };
    const node = unit ? namespace.addAnalogDataItem({ ...description, ...analogue }) : namespace.addVariable(description);
    tags[name] = {
      get: () => node.readValue().value.value,
      put: (value, time) => node.setValueFromSource({ dataType: DataType[dataType], value }, StatusCodes.Good, time),
      written: (then) => node.on("value_changed", ({ value }) => then(value.value)),
    };
  };
  const [dense, warm, share] = [{ low: 0, high: 400 }, { low: -50, high: 250 }, { low: 0, high: 100 }];
  add("AIC4711/MonAn.PV_Out", "Float", { unit: GRAM_PER_LITRE, range: dense });
  add("AIC4711/PID.SP", "Double", { unit: GRAM_PER_LITRE, range: dense, writable: true, first: 92 });
  add("TIC101/PID.PV_Out", "Float", { unit: CELSIUS, range: warm });
  add("TIC101/PID.SP", "Double", { unit: CELSIUS, range: warm, writable: true, first: 76.35 });
  add("AI4710/MonAn.Raw", "Int32");
  add("FIC12/PID.SP_Ext", "Float", { unit: PERCENT, range: share, writable: true });
  add("FIC12/PID.SP_Out", "Float", { unit: PERCENT, range: share });
  add("FIC12/PID.Mode", "String", { writable: true, first: "AUT" });
  add("TIC77/PID.SP_Ext", "Double", { writable: true });
  add("TIC77/PID.SP_Out", "Double");
  add("TIC77/PID.Mode", "String", { writable: true, first: "AUT" });
  for (const loop of ["FIC12", "TIC77"]) add(`${loop}/PID.RemOn`, "Boolean", { first: false });
  add("TIC77/PID.SP_ExtRaw", "Double", { writable: true });
  add("TIC77/PID.SP_OutRaw", "Int32");
  add("SEQ/ControllerMode", "String", { writable: true, first: options.selector });
  add("SEQ/RemoteSwitch", "Boolean", { writable: true, first: false });
  add("OTS/ProcessTime", "DateTime", { first: new Date() });
  add("OTS/TimeFactor", "Double", { first: Number(options.speed) });
  add("OTS/Times", "String", { writable: true, first: "both" });
  add("OTS/AnalyserAhead", "Double", { writable: true });
  add("OTS/MostSubscriptions", "Double", { writable: true, first: 10 });
  tags["OTS/MostSubscriptions"].written((most) => {
    server.engine.serverCapabilities.maxSubscriptionsPerSession = most;
  });
  tags["TIC77/PID.SP_ExtRaw"].written((raw) => {
    if (tags["TIC77/PID.Mode"].get() === "EXT") tags["TIC77/PID.SP_Ext"].put(fromRaw(raw));
  });
  addBulk(namespace, folder);
  return tags;
}

// Many variables that nobody needs, in folders of 500.
function addBulk(namespace, parent) {
  let folder = parent;
  for (let i = 0; i < Number(options.bulk); i++) {
    if (i % 500 === 0) folder = namespace.addFolder(parent, { browseName: `Bulk${i / 500}`, nodeId: `s=RK1/Bulk${i / 500}` });
    const value = { dataType: DataType.Float, value: i };
    namespace.addVariable({ componentOf: folder, browseName: `B${i}`, nodeId: `s=RK1/B${i}`, dataType: "Float", value });
  }
}

// One cycle of the DCS: read what operators and controllers wrote, advance the reactor, publish.
class Station {
  constructor(tags) {
    this.tags = tags;
    this.reactor = new Reactor(this.setpoints());
    for (let i = 0; i < 60 * 360; i++) this.reactor.advance([null, null]); // 60 h, until it is steady
    this.seconds = 0;
    this.due = 0;
    this.last = process.hrtime.bigint();
  }

  setpoints() {
    return [this.tags["AIC4711/PID.SP"].get(), this.tags["TIC101/PID.SP"].get() + KELVIN];
  }

  // A loop in AUT goes to EXT while the selector shows REMOTE; one in MAN stays where the operator has it.
  external(loop) {
    const { [`${loop}/PID.Mode`]: mode, [`${loop}/PID.SP_Ext`]: target, [`${loop}/PID.SP_Out`]: out } = this.tags;
    const remote = this.tags["SEQ/ControllerMode"].get() === "REMOTE" || this.tags["SEQ/RemoteSwitch"].get();
    if (mode.get() !== "MAN" && mode.get() !== (remote ? "EXT" : "AUT")) mode.put(remote ? "EXT" : "AUT");
    return { EXT: target.get(), MAN: out.get() }[mode.get()] ?? null;
  }

  cycle() {
    const now = process.hrtime.bigint();
    this.due += (Number(now - this.last) / 1e9) * Number(options.speed);
    this.last = now;
    const [feed, coolant] = [this.external("FIC12"), this.external("TIC77")];
    const outside = [feed === null ? null : (feed / 100) * 2.5, coolant === null ? null : coolant + KELVIN];
    this.reactor.setpoints = this.setpoints();
    for (let n = 0; this.due >= STEP_S && n < MOST_STEPS; n++, this.due -= STEP_S, this.seconds += STEP_S) {
      this.reactor.advance(outside);
    }
    this.publish();
  }

  publish() {
    const { tags, reactor: { x: [A, , , P, T], u } } = this;
    tags["AIC4711/MonAn.PV_Out"].put(P);
    tags["TIC101/PID.PV_Out"].put(T - KELVIN);
    const ahead = tags["OTS/AnalyserAhead"].get(); // the analyser has a clock of its own
    tags["AI4710/MonAn.Raw"].put(Math.round(A * COUNTS), ahead ? new Date(Date.now() + 1000 * ahead) : undefined);
    tags["OTS/ProcessTime"].put(new Date(Date.UTC(2031, 0, 1) + 1000 * this.seconds));
    const outputs = { FIC12: (u[0] / 2.5) * 100, TIC77: u[1] - KELVIN };
    for (const [loop, value] of Object.entries(outputs)) {
      tags[`${loop}/PID.SP_Out`].put(value);
      const external = tags[`${loop}/PID.Mode`].get() === "EXT";
      tags[`${loop}/PID.RemOn`].put(external);
      if (!external) tags[`${loop}/PID.SP_Ext`].put(value);
      if (loop === "TIC77") tags["TIC77/PID.SP_OutRaw"].put(Math.round(toRaw(value)));
      if (loop === "TIC77" && !external) tags["TIC77/PID.SP_ExtRaw"].put(toRaw(value));
    }
  }
}

function record(server) {
  const open = new Map(); // request handle -> what it writes
  server.on("request", (request) => {
    if (request.schema.name === "BrowseNextRequest") log({ event: "browse_next" });
    if (request.schema.name !== "WriteRequest") return;
    const writes = request.nodesToWrite.map(({ nodeId, value }) => ({
      node: nodeId.value,
      type: DataType[value.value.dataType],
      value: value.value.value,
      stamped: Boolean(value.sourceTimestamp || value.serverTimestamp),
    }));
    open.set(request.requestHeader.requestHandle, writes);
  });
  server.on("response", (response) => {
    const key = response.responseHeader.requestHandle;
    if (response.schema.name !== "WriteResponse" || !open.has(key)) return;
    const results = response.results.map((status) => status.name);
    log({ event: "write", writes: open.get(key).map((write, i) => ({ ...write, answer: results[i] })) });
    open.delete(key);
  });
}

async function main() {
  const rootFolder = options.pki;
  const users = new Map(options.users.split(",").filter(Boolean).map((user) => user.split(":")));
  const secured = users.size > 0;
  const certificates = new OPCUACertificateManager({ rootFolder, automaticallyAcceptUnknownCertificate: !secured });
  const most = Number(options.limit);
  const operationLimits = most && {
    maxNodesPerRead: most, maxNodesPerWrite: 1, maxNodesPerBrowse: most, maxMonitoredItemsPerCall: most,
    maxNodesPerTranslateBrowsePathsToNodeIds: most,
  };
  const shortest = Number(options.publishing);
  if (shortest) Subscription.minimumPublishingInterval = shortest;
  if (options.strict) habits.refuseStamped(OPCUAServer, StatusCodes);
  const server = new OPCUAServer({
    port: Number(options.port),
    host: "127.0.0.1",
    hostname: "127.0.0.1",
    securityModes: [secured ? MessageSecurityMode.SignAndEncrypt : MessageSecurityMode.None],
    securityPolicies: secured
      ? [SecurityPolicy.Basic256Sha256, SecurityPolicy.Aes256_Sha256_RsaPss]
      : [SecurityPolicy.None],
    allowAnonymous: !secured,
    userManager: { isValidUser: (name, password) => secured && users.get(name) === password },
    serverCertificateManager: certificates,
    userCertificateManager: certificates,
    serverCapabilities: most ? { operationLimits, maxBrowseContinuationPoints: 10 } : {},
    buildInfo: { productName: "RK1" },
  });
  if (most) habits.page(server, most);
  await server.initialize();
  const tags = build(server);
  record(server);
  habits.sendTimes(() => tags["OTS/Times"].get());
  const station = new Station(tags);
  station.publish();
  await server.start();
  setInterval(() => station.cycle(), CYCLE_MS);
  log({ event: "listening", selector: tags["SEQ/ControllerMode"].get() });
  process.stdout.write(`foreign plant ready: ${server.getEndpointUrl()}\n`);
  const end = async () => {
    await server.shutdown(0);
    process.exit(0);
  };
  process.on("SIGINT", end);
  process.on("SIGTERM", end);
}

main().catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exit(1);
});
