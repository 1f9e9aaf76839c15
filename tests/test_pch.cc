// SPDX-License-Identifier: Apache-2.0
// Owns the precompiled header of the test programs; see tests/CMakeLists.txt.
