import Hummingbird
import SheafBatches
import SheafCore
import SheafFormats
import SheafSettings

/// The route that groups the failed tasks of a batch by their error.
struct ErrorRoutes {
    let tasks: TaskDirectory

    func register(on group: RouterGroup<ServerContext>) {
        group.get("batches/:batch/errors") { request, context in
            try context.require(.read)
            _ = try QueryValues(request, allowed: [])
            let groups = try await tasks.errorGroups(of: context.parameter("batch"))
            return Response.json([
                "groups": .array(groups.map(\.json)), "failed": .integer(groups.reduce(0) { $0 + $1.count }),
            ])
        }
    }
}
