// What lasts: leases, watches, locks, elections.
'use strict';

const { pair } = require('./keys');

const SESSION_TTL = 30;

// Says more about a command than its answer.
function teller(id, say, refusal) {
  return {
    id,
    ok: (result) => say(id, { ok: result }),
    line: (line) => say(id, line),
    broken: (error) => say(id, { broken: refusal(error) }),
    ended: (error) => say(id, { ended: refusal(error) }),
  };
}

async function grant(command, { client }, told) {
  const lease = client.lease(command.ttl, { autoKeepAlive: Boolean(command.keep) });
  // Before anything can happen to it.
  let granted = false;
  lease.on('keepaliveSucceeded', (answer) => told.line({ alive: Number(answer.TTL) }));
  lease.on('keepaliveFailed', told.broken);
  lease.on('lost', (error) => granted && told.ended(error));
  const id = await lease.grant();
  granted = true;
  return { lease: id, ttl: command.ttl };
}

// The package has no such call for a lease by its id.
async function keepAlive(command, { client }) {
  const stream = await client.leaseClient.leaseKeepAlive();
  try {
    return await new Promise((resolve, reject) => {
      stream.on('data', (answer) => resolve({ ttl: Number(answer.TTL) }));
      stream.on('error', reject);
      stream.write({ ID: command.lease });
    });
  } finally {
    stream.end();
  }
}

async function timeToLive(command, { client }) {
  const answer = await client.leaseClient.leaseTimeToLive({ ID: command.lease, keys: true });
  return {
    ttl: Number(answer.TTL),
    granted: Number(answer.grantedTTL),
    keys: answer.keys.map((key) => key.toString()),
  };
}

async function revoke(command, { client }) {
  await client.leaseClient.leaseRevoke({ ID: command.lease });
  return {};
}

async function watch(command, { client, watches }, told) {
  const builder = client.watch();
  if (command.end) {
    builder.inRange({ start: command.key, end: command.end });
  } else {
    builder.key(command.key);
  }
  if (command.from) {
    builder.startRevision(String(command.from));
  }
  // What create() does; but events may come with the answer, before a promise is resolved.
  const watcher = builder.watcher();
  watches.set(told.id, watcher);
  let created = false;
  watcher.on('connected', () => {
    if (!created) {
      told.ok({});
    }
    created = true;
  });
  watcher.on('disconnected', told.broken);
  watcher.on('error', told.ended);
  watcher.on('data', (answer) => {
    // Every watch of the package asks for progress.
    if (answer.events.length === 0 && command.progress) {
      told.line({ progress: Number(answer.header.revision) });
    }
  });
  watcher.on('put', (kv) => told.line({ event: { kind: 'put', ...pair(kv) } }));
  watcher.on('delete', (kv) => told.line({ event: { kind: 'delete', ...pair(kv) } }));
}

async function cancel(command, { watches }) {
  await watches.get(command.of).cancel();
  return {};
}

async function lock(command, { client, locks }, told) {
  const held = client.lock(command.name).ttl(SESSION_TTL);
  await held.acquire();
  locks.set(told.id, held);
  return { key: command.name };
}

async function unlock(command, { locks }) {
  await locks.get(command.of).release();
  return {};
}

async function campaign(command, { client, candidates }, told) {
  const candidate = client.election(command.name, SESSION_TTL).campaign(command.value);
  await candidate.wait();
  candidates.set(told.id, candidate);
  return { key: await candidate.getCampaignKey() };
}

async function leader(command, { client }) {
  const value = await client.election(command.name, SESSION_TTL).leader();
  return { value: value === undefined ? null : value };
}

async function resign(command, { candidates }) {
  await candidates.get(command.of).resign();
  return {};
}

module.exports = {
  teller,
  commands: {
    grant,
    keep_alive: keepAlive,
    time_to_live: timeToLive,
    revoke,
    watch,
    cancel,
    lock,
    unlock,
    campaign,
    leader,
    resign,
  },
};
