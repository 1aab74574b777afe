import Sheaf
import SheafBroker
import SheafCore
import SheafFlows
import SheafTestSupport
import Testing

@Suite("Pausing and resuming") struct PauseTests {
    @Test("Workers that start after a pause respect it", arguments: BrokerKind.allCases)
    func aPauseIsSeenByWorkersThatComeLater(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let flow = try FlowDefinition.work { _ in .value(1) }
            let batch = try await stage.client { try await $0.create(plan(), records: records(30)) }
            try await stage.client { client in
                let change = try await client.pause(batch.id.text)
                #expect(change.hasChanged && change.batch.status == .paused)
                let again = try await client.pause(batch.id.text)
                #expect(!again.hasChanged && again.batch.status == .paused)
            }
            #expect(try await stage.work([flow]).finished == 0)
            try await stage.client { client in
                let change = try await client.resume(batch.id.text)
                #expect(change.hasChanged && change.batch.status == .pending)
                let again = try await client.resume(batch.id.text)
                #expect(!again.hasChanged)
            }
            #expect(try await stage.work([flow]).finished == 30)
            try await stage.client { client in
                let summary = try await client.batch(batch.id.text)
                #expect(summary.status == .completed)
                let pause = await #expect(throws: SheafError.self) { try await client.pause(batch.id.text) }
                #expect(pause?.code == .alreadyFinished)
                let resume = await #expect(throws: SheafError.self) { try await client.resume(batch.id.text) }
                #expect(resume?.code == .alreadyFinished)
            }
        }
    }

    @Test("Resuming a stopped batch tolerates its present failures", arguments: BrokerKind.allCases)
    func aStopIsLiftedAndItsFailuresAreTolerated(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            try await stage.client { client in
                let stopping = try plan { $0.options.errorPolicy = .stop(above: 1) }
                let batch = try await client.create(stopping, records: records(10))
                try await client.runByHand(batch, atMost: 3) { _ in .failed }
                #expect(try await client.batch(batch.id.text).status == .failed)
                let info = try await client.resume(batch.id.text).batch.info
                #expect(info.tolerated == 3)
                #expect(info.continuations == 1)
                // A pause tolerates no further failures.
                try await client.runByHand(batch, atMost: 1) { _ in .failed }
                try await client.pause(batch.id.text)
                #expect(try await client.resume(batch.id.text).batch.info.tolerated >= 3)
            }
        }
    }

    @Test("The limit of running tasks can be changed while the batch runs", arguments: BrokerKind.allCases)
    func aCapCanBeChangedWhileTheBatchRuns(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            try await stage.client { client in
                let batch = try await client.create(plan(), records: records(3))
                for limit in [4, 2, nil, 3, 3] {
                    let info = try await client.setMaxRunning(limit, of: batch.id.text).info
                    #expect(info.maxRunning == limit)
                    if let limit {
                        let permits = try await client.validPermits(of: info)
                        #expect(permits.count <= limit)
                    }
                }
                try await client.runByHand(batch)
                #expect(try await client.batch(batch.id.text).status == .completed)
                let error = await #expect(throws: SheafError.self) {
                    try await client.setMaxRunning(1, of: batch.id.text)
                }
                #expect(error?.code == .alreadyFinished)
            }
        }
    }
}
