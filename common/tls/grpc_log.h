// SPDX-License-Identifier: Apache-2.0
// common/tls/grpc_log.h -- gRPC's own messages in our log.
#ifndef BERTH_COMMON_TLS_GRPC_LOG_H_
#define BERTH_COMMON_TLS_GRPC_LOG_H_

namespace berth {

// From here on gRPC's errors become lines of level warn (a peer going away is one of them, so never error), its info
// and debug messages lines of level debug. Call once, in main, after LogInit.
void RouteGrpcLog();

}  // namespace berth

#endif  // BERTH_COMMON_TLS_GRPC_LOG_H_
