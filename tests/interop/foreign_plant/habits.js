// What servers of other makes do that a client must live with; each is asked for by an option or a tag.
"use strict";

const LEFT_OUT = { both: [], server: ["source"], none: ["source", "server"] };

// The whole process lives `seconds` ahead of the machine's clock.  To be called before node-opcua is loaded.
function shiftClock(seconds) {
  const Real = Date;
  global.Date = class extends Real {
    constructor(...given) {
      super(...(given.length ? given : [Real.now() + 1000 * seconds]));
    }
    static now() {
      return Real.now() + 1000 * seconds;
    }
  };
}

// times(): which times of a value are sent, "both", "server" or "none".  The server's is that of its sending.
function sendTimes(times) {
  const encoding = require("node-opcua-data-value/dist/datavalue.js"); // what every service encodes a value with
  const encode = encoding.encodeDataValue;
  encoding.encodeDataValue = (held, stream) => {
    const sent = Object.assign(Object.create(Object.getPrototypeOf(held)), held);
    if (sent.serverTimestamp) sent.serverTimestamp = new Date();
    for (const time of LEFT_OUT[times()]) [sent[`${time}Timestamp`], sent[`${time}Picoseconds`]] = [null, 0];
    encode(sent, stream);
  };
}

// No answer to Browse has more than `page` references of a node, whatever was asked for.
function page(server, most) {
  server.on("request", (request) => {
    if (request.schema.name !== "BrowseRequest") return;
    const asked = request.requestedMaxReferencesPerNode;
    request.requestedMaxReferencesPerNode = asked ? Math.min(asked, most) : most;
  });
}

// A value with a time is not written: BadWriteNotSupported.
function refuseStamped(OPCUAServer, StatusCodes) {
  const write = OPCUAServer.prototype._on_WriteRequest;
  OPCUAServer.prototype._on_WriteRequest = function (message, channel) {
    const engine = this.engine;
    if (!engine.strict) {
      const accept = engine.write.bind(engine);
      engine.strict = true;
      engine.write = async (context, writes) => {
        const stamped = writes.map(({ value }) => Boolean(value.sourceTimestamp || value.serverTimestamp));
        const plain = writes.filter((_, i) => !stamped[i]);
        const results = plain.length ? await accept(context, plain) : [];
        return stamped.map((refused) => (refused ? StatusCodes.BadWriteNotSupported : results.shift()));
      };
    }
    write.call(this, message, channel);
  };
}

module.exports = { page, refuseStamped, sendTimes, shiftClock };
