/** Where suggestions are off: everywhere, in a language, in a file; or everywhere for some minutes. */
import * as vscode from 'vscode';
import { change, setting } from './settings';

const FILES = 'filesWithoutSuggestions';
const SNOOZE_MINUTES = 10;

export class Switches implements vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<void>();
  readonly onDidChange = this.changed.event;
  private files: Set<string>;
  private timer: NodeJS.Timeout | undefined;
  private until: Date | undefined;

  constructor(private readonly state: vscode.Memento) {
    this.files = new Set(state.get<string[]>(FILES, []));
  }

  dispose(): void {
    clearTimeout(this.timer);
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
    if (this.until) {
      return `You turned suggestions off until ${this.until.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' })}.`;
    }
    return this.isFileOff(document.uri) ? 'You turned suggestions off in this file.' : '';
  }

  get isSnoozing(): boolean {
    return this.until !== undefined;
  }

  /** Off for some minutes, or on again. */
  snooze(): void {
    clearTimeout(this.timer);
    this.until = this.until ? undefined : new Date(Date.now() + SNOOZE_MINUTES * 60_000);
    if (this.until) {
      this.timer = setTimeout(() => this.snooze(), SNOOZE_MINUTES * 60_000);
    }
    this.changed.fire();
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
