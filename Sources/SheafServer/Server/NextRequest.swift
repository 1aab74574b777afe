import SheafBatches
import SheafFormats

extension Problem.Remedy {
    /// Returns what to do next in the words of the API.
    func nextRequest(prefix: String) -> String {
        switch self {
        case .checkCredentials: "check the user, the password and the virtual host in the broker's URL on the server"
        case .checkCertificate: "check the host, the CA file and the dates in the broker's URL and certificate"
        case .examineBroker: "check that the broker runs and that the server can reach it; then try again"
        case .tryLater: "try again when the broker's alarm is over"
        case .batches(let advice): Self.nextRequest(advice, api: prefix + "/api")
        }
    }

    private static func nextRequest(_ advice: Advice, api: String) -> String {
        switch advice {
        case .createBatch: "POST \(api)/batches creates a batch"
        case .createInteractive: "create the batch with \"interactive\": true"
        case .chooseAnotherID: "choose another id, or leave it out"
        case .listBatches: "GET \(api)/batches lists the batches"
        case .resumeCreation(let batch): "create batch \(batch) again with the same input; the creation then goes on"
        case .resumeBatch(let batch): "POST \(api)/batches/\(batch)/resume resumes it"
        case .cancelOrForceDeletion(let batch): "DELETE \(api)/batches/\(batch) cancels it"
        case .forceDeletion(let batch):
            "DELETE \(api)/batches/\(batch)/data?force=true; then create it under another id"
        case .retryBatch(let batch): "POST \(api)/batches/\(batch)/retry runs its failed tasks again"
        case .retryTask(let batch, let index):
            "POST \(api)/batches/\(batch)/retry with {\"indexes\":[\(index)]} runs it again"
        case .retryMissing(let batch):
            "POST \(api)/batches/\(batch)/retry with {\"missing\":true} publishes the lost tasks again if the server can "
                + "read the input; else 'sheaf retry \(batch) --missing', where the input is"
        case .forceRetryMissing(let batch):
            "wait for these tasks, or publish them again by POST \(api)/batches/\(batch)/retry with "
                + "{\"missing\":true,\"force\":true}; some may then run twice"
        case .setMaxRunning(let batch):
            "PATCH \(api)/batches/\(batch) with {\"max_running\":N}; then POST \(api)/batches/\(batch)/resume"
        case .listDeadLetters: "GET \(api)/dead lists the dead letters"
        case .showDeadLetter(let number): "GET \(api)/dead/\(number) shows the dead letter"
        case .listQuestions: "GET \(api)/questions lists the open questions"
        case .listSubmissions: "GET \(api)/batches/BATCH/submissions lists those of a batch"
        }
    }
}
