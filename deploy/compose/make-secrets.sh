#!/bin/sh
# Makes what compose.yaml hands to the containers as files, in deploy/compose/secrets (which git ignores), and prints an
# API key once. What is already there stays. Run it from anywhere; it needs openssl, and the image of the allocator.
#
#   sh deploy/compose/make-secrets.sh [tenant]
set -eu
cd "$(dirname "$0")"
tenant="${1:-me}"
image="${ALLOCATOR_IMAGE:-warmpool/allocator}"
mkdir -p secrets
umask 077

if [ ! -e secrets/data-key.pem ]; then
  openssl genpkey -algorithm ed25519 -out secrets/data-key.pem
fi
openssl pkey -in secrets/data-key.pem -pubout -out secrets/data-key.pub.pem
if [ ! -e secrets/warmpool.yaml ]; then
  password="$(openssl rand -hex 24)"
  printf 'redisUrl: redis://warmpool:%s@redis:6379\n' "$password" > secrets/warmpool.yaml
  # The rights are those that docs/deploy.md lists: warmpool's keys, no administration.
  printf 'user default off\nuser warmpool on >%s ~wp:* +@read +@write +@stream +@scripting +@connection +info +time -@dangerous +info -script|flush\n' \
    "$password" > secrets/redis-users.acl
fi
if [ ! -e secrets/api-keys ]; then
  made="$(docker run --rm --network none "$image" keys new --tenant "$tenant")"
  printf '%s\n' "$made" | sed -n 's/^entry  *//p' > secrets/api-keys
  printf '%s\n' "$made" | sed -n 's/^key  */WARMPOOL_API_KEY=/p'
fi
# A container reads a file under its own ids: the allocator's group is 10001, redis runs as 999, and a node is root.
chown 0:10001 secrets/api-keys secrets/data-key.pem secrets/data-key.pub.pem secrets/warmpool.yaml
chmod 0440 secrets/api-keys secrets/data-key.pem secrets/data-key.pub.pem secrets/warmpool.yaml
chown 999 secrets/redis-users.acl
