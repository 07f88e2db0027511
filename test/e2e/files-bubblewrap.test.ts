import { requirement } from '../support/requirements.ts';
import { fileJob } from './file-job.ts';

fileJob({
  name: 'bubblewrap',
  skip: (await requirement('bubblewrap')).skip,
  diskMb: 160,
  env: { WARMPOOL_RUNTIME: 'bubblewrap' },
});
