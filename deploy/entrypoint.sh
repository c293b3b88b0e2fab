#!/bin/sh
# Starts `identity`, with the fast build of Argon2 where this processor can run it.
set -eu
if [ -d /opt/argon2/_argon2_cffi_bindings ] \
  && /lib64/ld-linux-x86-64.so.2 --help 2>/dev/null | grep -q 'x86-64-v3 (supported'; then
  export PYTHONPATH=/opt/argon2
fi
exec /opt/identity/bin/identity "$@"
