import { after } from 'node:test';
import { RedisServer } from '../support/redis-server.ts';
import { requirement } from '../support/requirements.ts';
import { mainJob } from './main-job.ts';

const noBubblewrap = (await requirement('bubblewrap')).skip;
const noRedis = (await requirement('redis')).skip;
const redis = noRedis === false ? await RedisServer.start({ aof: true }) : null;
after(() => redis?.stop());

const common = { runtime: 'bubblewrap', dockerHost: null } as const;

mainJob({
  ...common,
  name: 'bubblewrap and the embedded store',
  skip: noBubblewrap,
  env: { WARMPOOL_RUNTIME: 'bubblewrap' },
});

mainJob({
  ...common,
  name: 'bubblewrap and Redis',
  skip: noBubblewrap || noRedis,
  env: { WARMPOOL_RUNTIME: 'bubblewrap', REDIS_URL: redis?.url ?? '' },
});
