// Keys: put, get, delete, transactions.
'use strict';

const targets = { value: 'Value', version: 'Version', created: 'Create', modified: 'Mod' };
const comparisons = { '=': '==', '!=': '!=', '>': '>', '<': '<' };

function putting(client, command) {
  const put = client.put(command.key).value(command.value);
  return command.lease ? put.lease(command.lease) : put;
}

function getting(client, command) {
  const get = command.end
    ? client.getAll().inRange({ start: command.key, end: command.end })
    : client.get(command.key);
  if (command.limit && command.end) {
    get.limit(command.limit);
  }
  return command.revision ? get.revision(command.revision) : get;
}

function deleting(client, command) {
  return command.end
    ? client.delete().inRange({ start: command.key, end: command.end })
    : client.delete().key(command.key);
}

const operations = { put: putting, get: getting, delete: deleting };

async function put(command, { client }) {
  if (command.prev) {
    const { header, value } = await putting(client, command).getPrevious();
    return { revision: Number(header.revision), prev: value && value.toString() };
  }
  const { header } = await putting(client, command).exec();
  return { revision: Number(header.revision) };
}

async function get(command, { client }) {
  const answer = await getting(client, command).exec();
  return { revision: Number(answer.header.revision), ...found(answer) };
}

async function remove(command, { client }) {
  const answer = await deleting(client, command).exec();
  return { revision: Number(answer.header.revision), deleted: Number(answer.deleted) };
}

async function txn(command, { client }) {
  const list = (commands) => (commands || []).map((each) => operations[each.do](client, each));
  let builder;
  for (const { key, target, is, value, number } of command.if) {
    const condition = [key, targets[target], comparisons[is], target === 'value' ? value : number];
    builder = builder ? builder.and(...condition) : client.if(...condition);
  }
  const answer = await builder
    .then(...list(command.then))
    .else(...list(command.else))
    .commit();
  const answers = answer.responses.map((each) => {
    if (each.response_range) {
      return found(each.response_range);
    }
    return each.response_delete_range ? { deleted: Number(each.response_delete_range.deleted) } : {};
  });
  return { revision: Number(answer.header.revision), succeeded: answer.succeeded, answers };
}

function found({ kvs, more, count }) {
  return { kvs: kvs.map(pair), more, count: Number(count) };
}

function pair(kv) {
  return {
    key: kv.key.toString(),
    value: kv.value.toString(),
    version: Number(kv.version),
    created: Number(kv.create_revision),
    modified: Number(kv.mod_revision),
    lease: kv.lease,
  };
}

module.exports = { commands: { put, get, delete: remove, txn }, pair };
