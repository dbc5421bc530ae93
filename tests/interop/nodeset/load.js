// Loads NodeSet2 files into an address space of node-opcua, on top of the standard one, and writes what is
// below Objects as JSON: browse path -> what the node is.
//
//   node load.js URI FILE...
"use strict";

const { AddressSpace, DataType, NodeClass, generateAddressSpace, nodesets } = require("node-opcua");

const [uri, ...files] = process.argv.slice(2);
const plain = (value) => (value === null || value === undefined ? null : JSON.parse(JSON.stringify(value)));

function property(node, name) {
  const found = node.getPropertyByName(name);
  return found ? plain(found.readValue().value.value) : null;
}

function described(node) {
  const told = { class: NodeClass[node.nodeClass], id: node.nodeId.value };
  if (node.nodeClass !== NodeClass.Method) told.type = node.typeDefinitionObj.browseName.name;
  if (node.nodeClass === NodeClass.Variable) {
    const kind = node.addressSpace.findDataType(node.dataType);
    Object.assign(told, {
      dataType: kind.browseName.name,
      encoding: DataType[node.dataTypeObj.basicDataType],
      range: property(node, "EURange"),
      unit: property(node, "EngineeringUnits"),
      names: kind.getPropertyByName("EnumStrings") ? property(kind, "EnumStrings").map((one) => one.text) : null,
      access: node.accessLevel,
    });
  }
  if (node.nodeClass === NodeClass.Method) {
    const shown = (list) => list.map((one) => [one.name, DataType[one.dataType.value], one.description.text]);
    told.inputs = shown(node.getInputArguments());
    told.outputs = shown(node.getOutputArguments());
  }
  return told;
}

function walk(node, path, index, found) {
  for (const child of [...node.getFolderElements(), ...(node.getComponents?.() ?? []), ...(node.getMethods?.() ?? [])]) {
    const below = path ? `${path}/${child.browseName.name}` : child.browseName.name;
    if (child.nodeId.namespace !== index || below in found) continue;
    found[below] = described(child);
    walk(child, below, index, found);
  }
  return found;
}

async function main() {
  const space = AddressSpace.create();
  await generateAddressSpace(space, [nodesets.standard, ...files], { imageStore: false });
  const index = space.getNamespaceIndex(uri);
  const nodes = walk(space.rootFolder.objects, "", index, {});
  process.stdout.write(`\n${JSON.stringify({ index, nodes })}\n`);
  space.dispose();
}

main().catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exit(1);
});
