/** Where suggestions are off: everywhere, in a language, in a file. */
import * as vscode from 'vscode';
import { change, setting } from './settings';

const FILES = 'filesWithoutSuggestions';

export class Switches implements vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<void>();
  readonly onDidChange = this.changed.event;
  private files: Set<string>;

  constructor(private readonly state: vscode.Memento) {
    this.files = new Set(state.get<string[]>(FILES, []));
  }

  dispose(): void {
    this.changed.dispose();
  }

  /** Why there are no suggestions in a document, as one sentence, or "". */
  why(document: vscode.TextDocument): string {
    if (!setting('enabled', true)) {
      return 'You turned suggestions off everywhere.';
    }
    if (setting<string[]>('disabledLanguages', []).includes(document.languageId)) {
      return `You turned suggestions off in ${document.languageId}.`;
    }
    return this.isFileOff(document.uri) ? 'You turned suggestions off in this file.' : '';
  }

  isFileOff(uri: vscode.Uri): boolean {
    return this.files.has(uri.toString());
  }

  async toggle(): Promise<void> {
    await change('enabled', !setting('enabled', true));
  }

  async toggleLanguage(language: string): Promise<void> {
    const off = setting<string[]>('disabledLanguages', []);
    await change('disabledLanguages', off.includes(language) ? off.filter((each) => each !== language) : [...off, language]);
  }

  async toggleFile(uri: vscode.Uri): Promise<void> {
    const name = uri.toString();
    if (!this.files.delete(name)) {
      this.files.add(name);
    }
    await this.state.update(FILES, [...this.files]);
    this.changed.fire();
  }
}
