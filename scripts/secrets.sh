#!/bin/sh
# Makes the files of docker-compose.yml's secrets in secrets/, with new passwords. Files that are
# there already stay as they are; remove a password's file and those that hold it to renew it.
set -eu
cd "$(dirname "$0")/.."

random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

# The directory keeps others on this machine out. The files themselves must be readable by the users
# that the containers run as, who are not you.
umask 022
mkdir -p secrets
chmod 700 secrets
cd secrets

# Write what is on standard input to a new file.
write() {
  if [ -e "$1" ]; then
    echo "secrets/$1 is there already"
  else
    cat >"$1.new"
    mv "$1.new" "$1"
    echo "secrets/$1 written"
  fi
}

random | write postgres-password
printf 'postgresql://kabar:%s@postgres/kabar\n' "$(cat postgres-password)" | write store-url

if [ -e redis-users ]; then
  password=$(sed -n 's/^user kabar .*>\([^ ]*\).*/\1/p' redis-users)
else
  password=$(random)
fi
# Without a password one may ask whether it lives, as the health check does, and nothing else.
write redis-users <<END
user default on nopass resetkeys resetchannels -@all +ping
user kabar on >$password ~* &* +@all
END
printf 'redis://kabar:%s@redis:6379/0\n' "$password" | write broker-url
