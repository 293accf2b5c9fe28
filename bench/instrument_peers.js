// SPDX-License-Identifier: Apache-2.0
// instrument_peers.js: what instrument_peers.c measures, with npm's prom-client. Found by NODE_PATH.
'use strict';
const client = require('prom-client');

const CHILDREN = 16, SERIES = 100000, ROUNDS = 5;
const paths = Array.from({length: CHILDREN}, (_, i) => '/api/v1/things/' + i);
const labelNames = ['method', 'path', 'code'];
const labelsOf = (i) => ({method: 'GET', path: paths[i % CHILDREN], code: '200'});

// Seconds of CPU time of this process: other programs disturb it least.
function cpu() {
  const {user, system} = process.cpuUsage();
  return (user + system) / 1e6;
}

function best(work) {
  let least = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    const start = cpu();
    work();
    least = Math.min(least, cpu() - start);
  }
  return least;
}

function measure(what, count, update) {
  const took = best(() => { for (let i = 0; i < count; i++) update(i); });
  console.log('prom-client %s_ns %s', what, (took / count * 1e9).toFixed(1));
}

async function main() {
  const counter = new client.Counter({name: 'requests_total', help: 'Requests.', labelNames, registers: []});
  const buckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
  const histogram = new client.Histogram({name: 'request_seconds', help: 'Seconds.', labelNames, buckets, registers: []});
  const child = counter.labels('GET', paths[0], '200');
  measure('counter_kept', 1000000, () => child.inc());
  measure('counter_labels', 300000, (i) => counter.inc(labelsOf(i)));
  measure('histogram_labels', 200000, (i) => histogram.observe(labelsOf(i), Math.imul(i, 2654435761) % 16384 / 1024));

  const registry = new client.Registry();
  for (let f = 0; f < 20; f++) {
    const users = new client.Counter({name: `users_${f}_total`, help: 'Users.', labelNames: ['user', 'zone'], registers: [registry]});
    for (let i = 0; i < SERIES / 20; i++) users.inc({user: 'user-' + i, zone: 'eu'}, i);
  }
  let least = Infinity;
  for (let round = 0; round < 3; round++) {
    const start = cpu();
    await registry.metrics();
    least = Math.min(least, cpu() - start);
  }
  console.log('prom-client exposition_series_per_s %s', (SERIES / least).toFixed(0));
}

main();
