import HTTPTypes
import Hummingbird
import SheafCore

/// Tells probes whether the process lives, and whether the broker can be used.
struct HealthRoutes {
    let watch: BrokerWatch

    func register(on router: Router<ServerContext>) {
        router.get("healthz") { _, _ in Response.json(["status": "ok"]) }
        router.get("readyz") { _, context in
            if let problem = watch.problem {
                return Response.problem(
                    .serviceUnavailable,
                    problem,
                    next: "pages and GET requests show what was known last; try again later",
                    headers: [.retryAfter: "2"]
                )
            }
            return Response.json(["status": "ready"])
        }
    }
}
