#!/bin/sh
# The demo project's integration tests: take the image out of the layout by the digest that is to be tested, run what is in
# it, write what happened to the results file.
# Usage: integration.sh DIGEST RESULTS
set -u
digest=$1
results=$2
blobs=out/image/blobs/sha256
started=$(date -u +%Y-%m-%dT%H:%M:%SZ)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

layer=$(sed 's/.*"layers":\[[^]]*"sha256:\([0-9a-f]*\)".*/\1/' "$blobs/${digest#sha256:}")
tar -xzf "$blobs/$layer" -C "$root" || exit 1

failed=0
cases=
separator=
record() { # NAME OUTCOME DETAIL
    echo "$2: $1: $3"
    detail=$(printf %s "$3" | tr '"\\\n' "'/ ")
    cases="$cases$separator{\"name\": \"$1\", \"status\": \"$2\", \"message\": \"$detail\"}"
    separator=,
    [ "$2" = passed ] || failed=1
}

for plugin in registry-push integration-test promote; do
    if said=$("$root/$plugin" --version 2>&1); then
        record "$plugin starts" passed "$said"
    else
        record "$plugin starts" failed "$said"
    fi
done

# In a folder of its own: it writes a result file, too.
said=$(cd "$root" && env -i ./registry-push 2>&1)
code=$?
if [ $code -eq 2 ]; then
    record "registry-push without settings says so" passed "exit code $code"
else
    record "registry-push without settings says so" failed "exit code $code: $said"
fi

finished=$(date -u +%Y-%m-%dT%H:%M:%SZ)
cat >"$results" <<END
{"digest": "$digest", "startedOn": "$started", "finishedOn": "$finished", "tests": [$cases]}
END
exit $failed
