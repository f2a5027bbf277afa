# shellcheck shell=sh
# A suite for an example: free ports, a folder of its own, gone at the end.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
PATH=${MOECAP_BIN_DIR:-$here/../../build/release/bin}:$PATH
MOECAP_STATE=$(mktemp -d /tmp/moecap-example.XXXXXX)
chmod 711 "$MOECAP_STATE"
export PATH MOECAP_STATE
trap 'moecap down >/dev/null 2>&1; rm -rf "$MOECAP_STATE"' EXIT
moecap up --detach --ports auto --models "$here/../../models" --tasks "$here/../../tasks" >/dev/null
