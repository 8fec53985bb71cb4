#!/bin/sh
# The compiler, with counters in what it makes. Cargo calls it as
# RUSTC_WORKSPACE_WRAPPER, so only the packages of this workspace have counters.
#
# Code for the Worker lacks LLVM's run-time library, so it is told not to ask for one;
# a build script has nothing to count. Without the threshold, small functions that are
# inlined into another crate are missing from the report.
case " $* " in
*" --crate-name build_script_"*) exec "$@" ;;
*" --target wasm32-unknown-unknown "*) set -- "$@" -Zno-profiler-runtime ;;
esac
RUSTC_BOOTSTRAP=1 exec "$@" -Cinstrument-coverage -Zcross-crate-inline-threshold=never
