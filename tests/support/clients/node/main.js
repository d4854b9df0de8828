// etcd3 for Node, driven by lines: the protocol is described in tests/clients/main.rs.
'use strict';

const fs = require('fs');
const readline = require('readline');
const { Etcd3, EtcdLeaseInvalidError, EtcdPermissionDeniedError } = require('etcd3');
const keys = require('./keys');
const streams = require('./streams');

const commands = {
  open,
  ...keys.commands,
  ...streams.commands,
};

// The client, and what commands leave behind for later ones, by their ids.
const kept = { client: null, watches: new Map(), locks: new Map(), candidates: new Map() };

function open(command) {
  const options = { hosts: command.url };
  if (command.ca) {
    options.credentials = { rootCertificate: fs.readFileSync(command.ca) };
  }
  if (command.user) {
    options.auth = { username: command.user, password: command.password };
  }
  kept.client = new Etcd3(options);
  return { client: `etcd3 ${require('etcd3/package.json').version}` };
}

function say(id, line) {
  process.stdout.write(`${JSON.stringify({ id, ...line })}\n`);
}

// The package turns statuses into classes; the number is only in the message that gRPC has made.
function refusal(error) {
  const status = /\b(\d+) [A-Z_]+: (.*)/s.exec(error.message);
  if (status) {
    return { code: Number(status[1]), message: status[2] };
  }
  if (error instanceof EtcdLeaseInvalidError) {
    return { code: 5, message: error.message };
  }
  if (error instanceof EtcdPermissionDeniedError) {
    return { code: 7, message: error.message };
  }
  return { code: null, message: `${error.name}: ${error.message}` };
}

async function answer(line) {
  const command = JSON.parse(line);
  try {
    if (!(command.do in commands)) {
      throw new Error(`no command ${command.do}`);
    }
    const told = streams.teller(command.id, say, refusal);
    const result = await commands[command.do](command, kept, told);
    if (result !== undefined) {
      say(command.id, { ok: result });
    }
  } catch (error) {
    say(command.id, { error: refusal(error) });
  }
}

const input = readline.createInterface({ input: process.stdin, crlfDelay: Infinity });
input.on('line', answer);
// Without waiting for what watches or waits.
input.on('close', () => process.exit(0));
