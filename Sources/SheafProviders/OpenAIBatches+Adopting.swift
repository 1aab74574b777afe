import SheafCore
import SheafFlows
package import SystemPackage

/// A provider whose submissions can be taken over if they were made by other means.
package protocol AdoptableProvider: BatchProvider {
    /// Downloads the requests of a submission, one on each line.
    func downloadRequests(of id: String, to file: FileDescriptor) async throws
}

extension OpenAIBatches: AdoptableProvider {
    package func downloadRequests(of id: String, to file: FileDescriptor) async throws {
        guard Self.isID(id) else {
            throw ProviderFailure.refused(FlowError(type: "id", message: "'\(id)' is not the id of a batch"))
        }
        let batch = try await attempt {
            try await service.exchange("GET", "\(Self.path)/\(id)", within: Self.patience.exchange)
        }
        guard let input = batch.json?["input_file_id"]?.stringValue, Self.isID(input) else {
            throw Self.junk(batch, "the id of its input file")
        }
        if let asked = batch.json?["endpoint"]?.stringValue, asked != endpoint {
            let message = "batch \(id) has requests to \(asked), but the flow asks \(endpoint)"
            throw ProviderFailure.refused(FlowError(type: "endpoint", message: message))
        }
        do {
            _ = try await attempt {
                try await service.download("/files/\(input)/content", to: file, within: Self.patience.transfer)
            }
        } catch ProviderFailure.absent(let error) {
            let message = "the input file \(input) of batch \(id) no longer exists: \(error.message)"
            throw ProviderFailure.absent(FlowError(type: "input-gone", message: message))
        }
    }
}
