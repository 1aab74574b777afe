import ArgumentParser
import Sheaf
import SheafCore
import SheafDispatch
import SheafFormats
import SheafSettings

extension SheafCommand {
    /// Puts requests into batches.
    struct Dispatch: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Put waiting requests into batches, by number, size or age, until interrupted.",
            usage: "sheaf dispatch [<options>] [<name> ...]",
            discussion: """
                'dispatch:' in sheaf.yaml defines dispatchers, each with its flow and the limits at which a batch is \
                created; 'sheaf requests add' and other senders add requests. A request leaves its queue after its \
                batch is confirmed. Several processes may dispatch: one does it, and the others take over if it ends.

                The id of each batch is printed.

                Examples:
                  sheaf dispatch
                  sheaf dispatch reviews --once
                  sheaf dispatch reviews --flush
                """
        )

        @Argument(help: "The dispatchers, by their names in sheaf.yaml; default: all.")
        var name: [String] = []

        @Flag(help: "Create the batches that are due now, and exit.")
        var once = false

        @Flag(help: "Create batches of all requests that wait now, and exit.")
        var flush = false

        @OptionGroup var common: CommonOptions

        @concurrent
        func run(in session: Session) async throws {
            let chosen = try session.dispatchers(named: name)
            try await session.withClient { client in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for settings in chosen {
                        group.addTask {
                            try await session.withRequests(of: settings, client) { queue in
                                try await dispatch(queue, settings, session, client)
                            }
                        }
                    }
                    // One that fails ends the others, or nothing would tell.
                    while try await group.next() != nil {}
                }
            }
        }

        private func dispatch(
            _ queue: any RequestQueue,
            _ settings: DispatchSettings,
            _ session: Session,
            _ client: SheafClient
        ) async throws {
            let dispatcher = try session.dispatcher(settings, of: queue, client) { batch in
                session.console.say(
                    "\(settings.name): created batch \(batch.id) of \(batch.flow): "
                        + Wording.count(batch.total, "task")
                )
                try? session.console.print(batch.id.text)
            }
            guard once || flush else {
                session.console.say("dispatching requests of \(settings.name) to flow \(settings.flow)")
                return try await dispatcher.run()
            }
            if flush { try await queue.flush() }
            do {
                try await queue.update()
                let batches = try await dispatcher.look()
                if batches.isEmpty { session.console.say("\(settings.name): no batch is due") }
            } catch let error as RequestQueueError where error.code == .busy && flush {
                session.console.say("\(settings.name): another process dispatches, and creates the batches")
            }
        }
    }
}
