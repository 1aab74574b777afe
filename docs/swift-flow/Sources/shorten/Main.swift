import Foundation
import Sheaf

/// A worker of its own: it runs the tasks of batches of the flow `shorten` until none are left.
///
/// `sheaf create shorten articles.jsonl` publishes such a batch. Run it in a folder whose `sheaf.yaml` names the same broker
/// and a flow `shorten`. `shorten: { swift: true }` is enough, because this program defines what the flow does.
@main
struct Main {
    static func main() async throws {
        let folder = CommandLine.arguments.dropFirst().first ?? ".sheaf"
        let flow = FlowDefinition(name: "shorten", flow: Shorten(), timeout: .seconds(30))
        try await SheafClient.withClient(broker: .embedded(directory: folder)) { client in
            let configuration = WorkerConfiguration(flows: [flow], concurrency: 8, untilEmpty: true)
            try await Worker(client: client, configuration: configuration).run()
        }
    }
}
