import OrderedCollections
import Sheaf
import SheafCore
import SheafDispatch
import SheafFormats
import SheafSettings

extension Session {
    /// Returns the dispatchers of these names, or all; throws if there is none.
    func dispatchers(named names: [String]) throws -> [DispatchSettings] {
        if settings.dispatchers.isEmpty {
            throw Diagnosis(
                .configuration,
                "the configuration defines no dispatcher",
                advice: "add one to sheaf.yaml, as in 'dispatch: { NAME: { flow: FLOW } }'"
            )
        }
        if names.isEmpty { return Array(settings.dispatchers.values) }
        return try names.map { name in
            if let known = Name(name), let dispatcher = settings.dispatchers[known] { return dispatcher }
            let known = settings.dispatchers.keys.map(\.text)
            throw Diagnosis(
                .notFound,
                "unknown dispatcher '\(name)'; the configuration defines \(known.joined(separator: ", "))"
                    + Suggestion.text(for: name, among: known)
            )
        }
    }

    /// Returns the only dispatcher; throws if there are several.
    func onlyDispatcher() throws -> DispatchSettings {
        let all = try dispatchers(named: [])
        guard all.count == 1 else {
            throw Diagnosis(
                .usage,
                "no dispatcher was named",
                advice: "name one of \(all.map(\.name.text).joined(separator: ", "))"
            )
        }
        return all[0]
    }

    /// Runs the body with the queue of a dispatcher.
    func withRequests<Result: Sendable>(
        of dispatcher: DispatchSettings,
        _ client: SheafClient,
        _ body: (any SearchableRequestQueue) async throws -> Result
    ) async throws -> Result {
        let queue = try await dispatcher.openQueue(client)
        do {
            let result = try await body(queue)
            await queue.close()
            return result
        } catch {
            await queue.close()
            throw error
        }
    }

    /// Returns the dispatcher of a queue; its batches have the options of their flow.
    func dispatcher(
        _ dispatcher: DispatchSettings,
        of queue: any RequestQueue,
        _ client: SheafClient,
        onBatch: @escaping @Sendable (CreatedBatch) -> Void
    ) throws -> Dispatcher {
        let flow = try flow(named: dispatcher.flow.text)
        var choices = BatchChoices()
        choices.inputs = ["-"]
        let request = try BatchRequest(flow, choices)
        var options = request.options
        options.seed = nil
        options.maxRecords = nil
        return Dispatcher(
            client: client,
            queue: queue,
            plan: BatchPlan(
                flow: flow.name,
                options: options,
                defaults: flow.parameters,
                publishTimeout: request.publishTimeout
            ),
            rules: DispatchRules(
                queueThreshold: dispatcher.queueThreshold,
                maxBytes: dispatcher.maxBytes,
                timeThreshold: dispatcher.timeThreshold,
                arguments: dispatcher.arguments
            ),
            interval: dispatcher.timeInterval,
            logger: logger,
            onBatch: onBatch
        )
    }
}
