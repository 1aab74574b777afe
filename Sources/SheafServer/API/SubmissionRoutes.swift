import Hummingbird
import SheafBatches
import SheafCore
import SheafFormats
import SheafSettings

/// The route that lists the submissions of a batch to providers' batch APIs.
struct SubmissionRoutes {
    let directory: BatchDirectory

    func register(on group: RouterGroup<ServerContext>) {
        group.get("batches/:batch/submissions") { request, context in
            try context.require(.read)
            _ = try QueryValues(request, allowed: [])
            let submissions = try await directory.submissions(of: context.parameter("batch"))
            return Response.json(["submissions": .array(submissions.map(\.json))])
        }
    }
}
