import SheafCore
import SheafFlows

/// A batch API of a cloud, whose requests and results are files in the user's own storage.
///
/// A line of results repeats the request.
protocol CloudBatches: ModelBatches {
    /// The name of the storage's service in signatures.
    static var storageName: String { get }
    /// Returns the path of an object in the storage's API; deletions and downloads have the same one.
    func path(ofObject name: String, in bucket: String) -> String
}

extension CloudBatches {
    /// The name of the file with requests.
    static var requestsName: String { "requests.jsonl" }
    /// What a line of results has besides the answer, in bytes: at most a record of 1 MiB in a prompt, as JSON.
    static var rowOverhead: Int { 16 << 20 }

    /// What is configured about the cloud.
    ///
    /// - Throws: ``ProviderFailure`` if no folder for files is configured.
    func folders() throws -> (cloud: ModelCloud, requests: StorageFolder, results: StorageFolder) {
        guard let cloud = flow.cloud, let requests = cloud.storage, let results = cloud.output else {
            throw ProviderFailure.refused(
                FlowError(type: "storage", message: "the flow has no storage for the requests of a submission")
            )
        }
        return (cloud, requests, results)
    }

    /// The service of the storage.
    func storage() throws -> ModelService { try service.at(url: folders().cloud.storageURL, named: Self.storageName) }

    /// Returns the folder of a submission's files.
    func folder(_ key: String, in folder: StorageFolder) -> String { "\(folder.prefix)\(key)/" }

    package func remove(_ preparation: Preparation) async throws {
        guard let object = Self.object(preparation.id, try folders().requests.scheme) else { return }
        let store = try storage()
        _ = try await attempt {
            try await store.exchange(
                "DELETE",
                path(ofObject: object.name, in: object.bucket),
                within: Self.patience.exchange
            )
        }
    }

    /// Returns the bucket and the name of the object with a URI such as `gs://bucket/name`; nil if it is none.
    static func object(_ uri: String, _ scheme: String) -> (bucket: String, name: String)? {
        guard let match = uri.wholeMatch(of: /([a-z0-9]+):\/\/([a-z0-9][a-z0-9._\-]+)\/(.+)/), match.1 == scheme else {
            return nil
        }
        return (String(match.2), String(match.3))
    }

    /// Returns the outcome of a request whose answer may be too large.
    func checked(_ row: BatchRow, _ line: [UInt8]) -> BatchRow {
        guard line.count > service.maximumOutput, case .answer(_, let body) = row.content,
            body.bytes.count > service.maximumOutput
        else { return row }
        let message = "the answer has more than \(service.maximumOutput) bytes; max_output sets the limit"
        return BatchRow(id: row.id, content: .failure(FlowError(type: "output-too-large", message: message)))
    }
}
